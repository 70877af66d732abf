// A session read by an EventSource and nothing else: what browser and server do by themselves.

const [state, answer] = ["stream-state", "stream-answer"].map((name) => {
  const part = document.body.appendChild(document.createElement("output"));
  part.dataset.testid = name;
  return part;
});

const response = await fetch("/chat/sessions", {
  method: "POST",
  headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ prompt: new URLSearchParams(location.search).get("prompt") }),
});
const { stream_url } = await response.json();
const events = new EventSource(stream_url);
events.addEventListener("delta", ({ data }) => answer.append(JSON.parse(data).text));
events.addEventListener("done", () => {
  events.close();
  state.dataset.state = "done";
});
