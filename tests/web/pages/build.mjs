// node build.mjs WEB OUT: bundles strict.tsx with React's development build, in which StrictMode mounts twice.

import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [web, out] = process.argv.slice(2);
process.env.NODE_ENV = "development";
const found = createRequire(join(web, "package.json"));
const { build } = await import(pathToFileURL(found.resolve("vite")));

await build({
  root: import.meta.dirname,
  configFile: false,
  mode: "development",
  logLevel: "warn",
  define: { "process.env.NODE_ENV": '"development"' },
  resolve: {
    alias: [
      { find: /^chat\//, replacement: `${join(web, "src/chat")}/` },
      { find: /^(react|react-dom)(?=$|\/)/, replacement: `${join(web, "node_modules")}/$1` },
    ],
  },
  build: {
    outDir: out,
    emptyOutDir: false,
    minify: false,
    rollupOptions: { input: join(import.meta.dirname, "strict.tsx"), output: { entryFileNames: "strict.js" } },
  },
});
