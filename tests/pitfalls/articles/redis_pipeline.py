"""A sliding window in Redis, counted by four commands or by one script."""

import secrets
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
from fastapi import FastAPI
from fastapi.exceptions import HTTPException
from flask import Flask, abort
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from tests.pitfalls.catalogue import Observation, Pitfall
from tests.pitfalls.ground import Application, Ground
from tests.stores import redis_server

PITFALL = Pitfall(
    title="ZREMRANGEBYSCORE, ZADD, ZCARD and EXPIRE in a pipeline, or ZCARD before ZADD",
    article="four commands in one round trip make a sliding-window limit",
    flask="added first: denied calls are charged; counted first: more get in than the limit",
    fastapi="added first: denied calls are charged; counted first: more get in than the limit",
    fixed="added first: denied calls are free; counted first: the limit gets in",
    fix="count and add in one Lua script, which adds a call only when it is admitted",
    guide="auth-and-limits",
    number=9,
)
LIMIT, WINDOW_S = 2, 10
CALLS_S = (0, 1, 4, 8, 12)
AT_ONCE, ROUNDS = 16, 10
SCRIPT = Path(__file__).with_name("sliding_window.lua")


def flask_app(store: str) -> Flask:
    app = Flask(__name__)
    redis = Redis.from_url(store)

    @app.get("/added-first/<caller>/<int:now>")
    def added_first(caller: str, now: int) -> str:
        commands = redis.pipeline()
        commands.zremrangebyscore(caller, "-inf", now - WINDOW_S)
        commands.zadd(caller, {secrets.token_hex(): now})
        commands.zcard(caller)
        commands.expire(caller, WINDOW_S)
        _, _, count, _ = commands.execute()
        return "ok" if count <= LIMIT else abort(429)

    @app.get("/counted-first/<caller>/<int:now>")
    def counted_first(caller: str, now: int) -> str:
        commands = redis.pipeline()
        commands.zremrangebyscore(caller, "-inf", now - WINDOW_S)
        commands.zcard(caller)
        _, count = commands.execute()
        if count >= LIMIT:
            abort(429)
        commands.zadd(caller, {secrets.token_hex(): now})
        commands.expire(caller, WINDOW_S)
        commands.execute()
        return "ok"

    return app


def fastapi_app(store: str) -> FastAPI:
    redis = AsyncRedis.from_url(store)
    app = FastAPI(lifespan=closing(redis))

    @app.get("/added-first/{caller}/{now}")
    async def added_first(caller: str, now: int) -> str:
        commands = redis.pipeline()
        commands.zremrangebyscore(caller, "-inf", now - WINDOW_S)
        commands.zadd(caller, {secrets.token_hex(): now})
        commands.zcard(caller)
        commands.expire(caller, WINDOW_S)
        _, _, count, _ = await commands.execute()
        if count > LIMIT:
            raise HTTPException(429)
        return "ok"

    @app.get("/counted-first/{caller}/{now}")
    async def counted_first(caller: str, now: int) -> str:
        commands = redis.pipeline()
        commands.zremrangebyscore(caller, "-inf", now - WINDOW_S)
        commands.zcard(caller)
        _, count = await commands.execute()
        if count >= LIMIT:
            raise HTTPException(429)
        commands.zadd(caller, {secrets.token_hex(): now})
        commands.expire(caller, WINDOW_S)
        await commands.execute()
        return "ok"

    return app


def fixed_app(store: str) -> FastAPI:
    redis = AsyncRedis.from_url(store)
    admit = redis.register_script(SCRIPT.read_text("utf-8"))
    app = FastAPI(lifespan=closing(redis))

    @app.get("/{name}/{caller}/{now}")
    async def chat(caller: str, now: int) -> str:
        if not await admit([caller], [now, WINDOW_S, LIMIT, secrets.token_hex()]):
            raise HTTPException(429)
        return "ok"

    return app


def closing(redis: AsyncRedis) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with redis:
            yield

    return lifespan


@dataclass(frozen=True, slots=True)
class Counted:
    """`last` is the status of a call behind denied ones, `admitted` how many of AT_ONCE in one moment."""

    last: int
    admitted: int

    @property
    def words(self) -> str:
        denied = "free" if self.last == 200 else "charged"
        within = "the limit gets in" if self.admitted == LIMIT else "more get in than the limit"
        return f"added first: denied calls are {denied}; counted first: {within}"


def probe(url: str) -> Counted:
    with httpx2.Client(base_url=url, timeout=30) as client:
        return Counted(last_after_denied(client), admitted_at_once(client))


def last_after_denied(client: httpx2.Client) -> int:
    """A caller who uses up the limit, and goes on to call while it is denied."""
    caller = secrets.token_hex()
    *early, last = [client.get(f"/added-first/{caller}/{now}").status_code for now in CALLS_S]
    assert early == [200, 200, 429, 429]
    return last


def admitted_at_once(client: httpx2.Client) -> int:
    """Callers who each call many times in one moment, until one of them gets more than the limit."""
    with ThreadPoolExecutor(AT_ONCE) as threads:
        for _ in range(ROUNDS):
            path = f"/counted-first/{secrets.token_hex()}/0"
            answers = threads.map(lambda _, path=path: client.get(path).status_code, range(AT_ONCE))
            if (admitted := list(answers).count(200)) != LIMIT:
                assert admitted > LIMIT
                return admitted
    return LIMIT


def observe(ground: Ground) -> Observation:
    def seen(application: Application) -> Counted:
        with ground.serving(application) as url:
            return probe(url)

    with redis_server(ground.folder) as store:
        flask, fastapi, fixed = (
            seen(make(store.url)) for make in (flask_app, fastapi_app, fixed_app)
        )
    evidence = (
        f"{LIMIT} calls in {WINDOW_S} s are allowed, and two were denied at {CALLS_S[2]} and {CALLS_S[3]} s:"
        f" one at {CALLS_S[4]} s gets {fastapi.last} where adding comes first, {fixed.last} from the script;"
        f" of {AT_ONCE} at once {fastapi.admitted} get in where counting comes first, {fixed.admitted} by"
        " the script"
    )
    return Observation(flask.words, fastapi.words, fixed.words, evidence)
