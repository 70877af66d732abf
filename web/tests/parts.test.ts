import assert from "node:assert/strict";
import { test } from "node:test";
import { backoffMs, pause, retryAfterMs } from "../src/chat/backoff.ts";
import { isPassing, remedy, type Failure, type Reading } from "../src/chat/failures.ts";
import { LastId } from "../src/chat/lastId.ts";
import { freshKey } from "../src/chat/sessions.ts";

test("the longest pause doubles from half a second up to 15 s", () => {
  const longest = [1, 2, 3, 4, 5, 6, 7, 40].map((attempt) => backoffMs(attempt, () => 1));
  assert.deepEqual(longest, [500, 1000, 2000, 4000, 8000, 15_000, 15_000, 15_000]);
});

test("a pause is a random part of the longest, down to none", () => {
  assert.equal(backoffMs(3, () => 0), 0);
  assert.equal(backoffMs(3, () => 0.25), 500);
  const pauses = Array.from({ length: 100 }, () => backoffMs(3));
  assert.ok(new Set(pauses).size > 50 && Math.max(...pauses) <= 2000);
});

test("Retry-After in seconds, as a date, in the past, unreadable, or missing", () => {
  const now = Date.parse("2026-11-21T20:00:00Z");
  assert.equal(retryAfterMs("7", now), 7000);
  assert.equal(retryAfterMs("Sat, 21 Nov 2026 20:00:30 GMT", now), 30_000);
  assert.equal(retryAfterMs("Sat, 21 Nov 2026 19:00:00 GMT", now), 0);
  assert.equal(retryAfterMs("soon", now), 0);
  assert.equal(retryAfterMs(null, now), 0);
});

test("a pause ends when it is aborted, before and while it lasts", async () => {
  await pause(3_600_000, AbortSignal.abort());
  const control = new AbortController();
  const paused = pause(3_600_000, control.signal);
  control.abort();
  await paused;
});

test("an event that was read before is not new", () => {
  const last = new LastId();
  const news = ["7-1", "7-2", "7-2", "7-1", "7-3", "", "7-10", "7-9", "8-11", "8-11", "8-12"];
  assert.deepEqual(
    news.map((id) => last.advance(id)),
    [true, true, false, false, true, false, true, false, true, false, true],
  );
  assert.equal(last.value, "8-12");
});

test("an id begins before its last hyphen", () => {
  const last = new LastId();
  assert.ok(last.advance("a-b-9"));
  assert.ok(last.advance("a-b-10"));
  assert.ok(!last.advance("a-b-9"));
});

const FRESH: Reading = { ended: false, hasText: true, rereads: 0, renewals: 0 };

function next(failure: Partial<Failure>, reading: Partial<Reading> = {}): string {
  const whole = { code: "x", message: "", retryable: false, ...failure };
  return remedy(whole, { ...FRESH, ...reading });
}

test("a gap: the same session once more, then another, then no more", () => {
  const gap = { code: "gap", retryable: true };
  assert.equal(next(gap), "reread");
  assert.equal(next(gap, { rereads: 1 }), "renew");
  assert.equal(next(gap, { rereads: 1, renewals: 2 }), "fail");
});

test("a failure of the connection alone is passed over when it may pass", () => {
  assert.equal(next({ code: "draining", retryable: true }), "continue");
  assert.equal(next({ code: "ticket_refused" }), "continue");
  assert.equal(next({ code: "invalid_request" }), "fail");
});

test("an answer that has ended is bought again only where nothing was read, and twice at most", () => {
  const failure = { code: "upstream_unavailable", retryable: true };
  assert.equal(next(failure, { ended: true, hasText: false }), "renew");
  assert.equal(next(failure, { ended: true, hasText: false, renewals: 2 }), "fail");
  assert.equal(next(failure, { ended: true }), "fail");
  assert.equal(next({ code: "abandoned", retryable: true }, { ended: true }), "renew");
  assert.equal(next({ code: "stopped" }, { ended: true }), "stopped");
});

test("which refusals may pass", () => {
  assert.ok(isPassing(429, "rate_limited") && isPassing(503, "draining"));
  assert.ok(isPassing(403, "ticket_refused"));
  assert.ok(!isPassing(401, "unauthorized") && !isPassing(422, "key_reused"));
});

test("keys are fresh and fit Idempotency-Key", () => {
  const keys = new Set(Array.from({ length: 100 }, freshKey));
  assert.equal(keys.size, 100);
  for (const key of keys) assert.match(key, /^[0-9a-f]{32}$/);
});
