import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { ChatStream } from "../src/chat/chatStream.ts";
import type { ChatState, Phase } from "../src/chat/state.ts";
import { against, delta, done, failure, issue, status, stream } from "./service.ts";

/** The state once it is in this phase. */
function reaches(chat: ChatStream, phase: Phase): Promise<ChatState> {
  return new Promise((resolve) => {
    const look = () => {
      if (chat.state().phase !== phase) return;
      leave();
      resolve(chat.state());
    };
    const leave = chat.subscribe(look);
    look();
  });
}

const HELLO = [delta("1-1", "Hel"), delta("1-2", "lo "), delta("1-3", "🙂"), done("1-4")];
const WHOLE = "Hello 🙂";

describe("an answer", { concurrency: true }, () => {
  test("is read to its end, with the times and the usage of its parts", () =>
    against([stream(HELLO)], async ({ url, posts, gets }) => {
      const chat = new ChatStream({ url, headers: { Authorization: "Bearer k" } });
      chat.start("hi");
      assert.equal(chat.state().phase, "connecting");
      const { text, usage, transport, startedAt, firstAt, lastAt, endedAt } = await reaches(chat, "done");
      assert.equal(text, WHOLE);
      assert.equal(usage?.completion_tokens, 4);
      assert.equal(transport, "fetch"); // node has no EventSource
      const times = [startedAt, firstAt, lastAt, endedAt].map(Number);
      assert.deepEqual(times, times.toSorted((one, other) => one - other));
      assert.deepEqual(gets, [""]);
      assert.deepEqual(posts, [{ key: posts[0]?.key, body: '{"prompt":"hi"}', authorization: "Bearer k" }]);
    }));

  test("that is cut goes on behind its last event, and what comes twice is read once", () =>
    against([stream(HELLO.slice(0, 2), "cut"), stream(HELLO)], async ({ url, posts, gets }) => {
      const chat = new ChatStream({ url });
      chat.start("hi");
      assert.equal((await reaches(chat, "reconnecting")).attempt, 1);
      assert.equal((await reaches(chat, "done")).text, WHOLE);
      assert.deepEqual(gets, ["", "1-2"]);
      assert.equal(posts.length, 2);
      assert.deepEqual(posts[0], posts[1]);
    }));

  test("whose server drains goes on at another", () =>
    against(
      [stream([...HELLO.slice(0, 1), failure("draining", true)]), stream(HELLO.slice(1))],
      async ({ url, gets }) => {
        const chat = new ChatStream({ url });
        chat.start("hi");
        assert.equal((await reaches(chat, "reconnecting")).problem?.code, "draining");
        assert.equal((await reaches(chat, "done")).text, WHOLE);
        assert.deepEqual(gets, ["", "1-1"]);
      },
    ));

  test("with a gap is read again from its beginning, and then bought again", () =>
    against(
      [
        stream([delta("1-1", "lost")], "cut"),
        stream([failure("gap", true)]),
        stream([delta("2-1", "lost, too"), failure("gap", true)]),
        stream(HELLO),
      ],
      async ({ url, posts, gets }) => {
        const chat = new ChatStream({ url });
        chat.start("hi");
        assert.equal((await reaches(chat, "done")).text, WHOLE);
        assert.deepEqual(gets, ["", "1-1", "", ""]);
        const keys = posts.map(({ key }) => posts.findIndex((post) => post.key === key));
        assert.deepEqual(keys, [0, 0, 0, 3]);
      },
    ));

  test("is not mixed with that of another session, which a server made who has forgotten the first", () =>
    against(
      [stream([delta("1-1", "lost")], "cut"), stream(HELLO)],
      async ({ url, gets }) => {
        const chat = new ChatStream({ url });
        chat.start("hi");
        assert.equal((await reaches(chat, "done")).text, WHOLE);
        assert.deepEqual(gets, ["", ""]);
      },
      [issue("t1", "s1"), issue("t2", "s2")],
    ));

  test("whose ticket is refused gets another one", () =>
    against([status(403, "ticket_refused"), stream(HELLO)], async ({ url, posts }) => {
      const chat = new ChatStream({ url });
      chat.start("hi");
      assert.equal((await reaches(chat, "done")).text, WHOLE);
      assert.equal(new Set(posts.map(({ key }) => key)).size, 1);
    }));

  test("that is over without its end having been read is done", () =>
    against([stream(HELLO.slice(0, 3), "cut"), status(204)], async ({ url }) => {
      const chat = new ChatStream({ url });
      chat.start("hi");
      assert.equal((await reaches(chat, "done")).text, WHOLE);
    }));

  test("that fails for good says why, and keeps its text", () =>
    against([stream([...HELLO.slice(0, 2), failure("x", false, "1-3")])], async ({ url, gets }) => {
      const chat = new ChatStream({ url });
      chat.start("hi");
      const { text, problem } = await reaches(chat, "failed");
      assert.equal(text, "Hello ");
      assert.equal(problem?.code, "x");
      assert.equal(gets.length, 1);
    }));

  test("that is stopped is ended at the server, and keeps its text", () =>
    against([stream(HELLO.slice(0, 2), "stay")], async ({ url, deletes }) => {
      const chat = new ChatStream({ url, headers: { Authorization: "Bearer k" } });
      chat.start("hi");
      await reaches(chat, "streaming");
      chat.stop();
      assert.equal(chat.state().phase, "stopped");
      while (deletes.length === 0) await new Promise(setImmediate);
      assert.deepEqual(deletes, ["/chat/sessions/s1 Bearer k"]);
      assert.match(chat.state().text, /^Hel/);
    }));
});

describe("asking", { concurrency: true }, () => {
  test("is tried again where the refusal may pass", () =>
    against(
      [stream(HELLO)],
      async ({ url, posts }) => {
        const chat = new ChatStream({ url });
        chat.start("hi");
        assert.equal((await reaches(chat, "done")).text, WHOLE);
        assert.equal(posts.length, 2);
        assert.equal(posts[0]?.key, posts[1]?.key);
      },
      [status(503, "overloaded")],
    ));

  for (const refusal of [status(401, "unauthorized"), status(429, "rate_limited", { "Retry-After": "999" })]) {
    test("is not tried again where it would be in vain", () =>
      against(
        [],
        async ({ url, posts }) => {
          const chat = new ChatStream({ url });
          chat.start("hi");
          const { problem } = await reaches(chat, "failed");
          assert.match(String(problem?.message), /^It says (unauthorized|rate_limited)\.$/);
          assert.equal(posts.length, 1);
        },
        [refusal],
      ));
  }

  test("is given up in the end", () =>
    against([status(503, "overloaded")], async ({ url }) => {
      const chat = new ChatStream({ url, giveUpAfterMs: 0 });
      chat.start("hi");
      assert.equal((await reaches(chat, "failed")).problem?.code, "overloaded");
    }));

  test("twice before there is an answer, as in an effect of StrictMode, is asking once", () =>
    against([stream(HELLO)], async ({ url, posts, gets }) => {
      const chat = new ChatStream({ url });
      const leave = chat.subscribe(() => undefined);
      chat.start("hi");
      leave();
      chat.start("hi");
      assert.equal((await reaches(chat, "done")).text, WHOLE);
      assert.deepEqual([posts.length, gets.length], [1, 1]);
    }));

  test("again once it is answered is asking anew", () =>
    against([stream(HELLO), stream(HELLO)], async ({ url, posts }) => {
      const chat = new ChatStream({ url });
      chat.start("hi");
      await reaches(chat, "done");
      chat.start("hi");
      assert.equal(chat.state().text, "");
      assert.equal((await reaches(chat, "done")).text, WHOLE);
      assert.notEqual(posts[0]?.key, posts[1]?.key);
    }));

  test("with the same key twice is asking once", () =>
    against([stream(HELLO)], async ({ url, posts }) => {
      const chat = new ChatStream({ url });
      chat.start("hi", { key: "mine" });
      chat.start("hi", { key: "mine" });
      await reaches(chat, "done");
      assert.deepEqual(posts.map(({ key }) => key), ["mine"]);
    }));
});

describe("a component", { concurrency: true }, () => {
  test("that is mounted again at once finds the connection as it was", () =>
    against([stream(HELLO)], async ({ url, posts, gets }) => {
      const chat = new ChatStream({ url });
      chat.subscribe(() => undefined)();
      const leave = chat.subscribe(() => undefined);
      chat.start("hi");
      leave();
      assert.equal((await reaches(chat, "done")).text, WHOLE);
      assert.deepEqual([posts.length, gets.length], [1, 1]);
    }));

  test("that comes back later reads on, and buys nothing", () =>
    against([stream(HELLO.slice(0, 2), "stay"), stream(HELLO.slice(2))], async ({ url, posts, gets }) => {
      const chat = new ChatStream({ url });
      chat.start("hi");
      while (chat.state().text !== "Hello ") await new Promise(setImmediate);
      chat.subscribe(() => undefined)();
      await new Promise((resolve) => setTimeout(resolve)); // behind the one that it rests by
      assert.deepEqual(gets, [""]);
      assert.equal((await reaches(chat, "done")).text, WHOLE);
      assert.deepEqual(gets, ["", "1-2"]);
      assert.equal(posts[0]?.key, posts[1]?.key);
    }));
});
