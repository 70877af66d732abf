import { useEffect, useState } from "react";

/** Where the batch stack is: null when none is configured, undefined until that is known. */
export function useLegacyUrl(): string | null | undefined {
  const [url, setUrl] = useState<string | null>();
  useEffect(() => {
    const left = new AbortController();
    fetch("/page.json", { signal: left.signal })
      .then((response) => response.json() as Promise<{ legacy_url: string | null }>)
      .then(({ legacy_url }) => setUrl(legacy_url?.replace(/\/$/, "") ?? null))
      .catch(() => left.signal.aborted || setUrl(null));
    return () => left.abort();
  }, []);
  return url;
}
