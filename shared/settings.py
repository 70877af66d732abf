"""The configuration of both stacks: one frozen value, and the only reader of the environment."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AnyHttpUrl, BeforeValidator, Field, RedisDsn, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.loopback import only_here


def _split(value: object) -> object:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Rate = Annotated[str, Field(pattern=r"^[1-9]\d{0,8}/([1-9]\d{0,3} )?(second|minute|hour|day)s?$")]
Origin = Annotated[str, Field(pattern=r"^https?://[\w.\-\[\]:]+$")]
UserKey = Annotated[str, Field(pattern=r"^[\w.@-]{1,64}:[0-9a-f]{64}$")]


class SettingsError(Exception):
    """A variable of the environment has a value that is not allowed; says which and what is."""


class Settings(BaseSettings):
    """Every setting with its default; the variable is `CHAT_` and the name, unless an alias says otherwise."""

    model_config = SettingsConfigDict(
        env_prefix="CHAT_",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
    )

    openai_api_key: SecretStr | None = Field(
        default=None, validation_alias="OPENAI_API_KEY", description="the provider's"
    )
    openai_base_url: AnyHttpUrl | None = Field(
        default=None,
        validation_alias="OPENAI_BASE_URL",
        description="of any compatible server; with neither, a script answers",
    )
    model: str = Field(default="gpt-4o-mini", min_length=1, description="when a request names none")

    api_keys: Annotated[tuple[UserKey, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(), description="user:sha256-of-the-key in hex, separated by commas"
    )
    cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_split)] = Field(
        default=(), description="origins whose pages may ask, separated by commas"
    )
    redis_url: RedisDsn | None = Field(
        default=None,
        validation_alias="REDIS_URL",
        repr=False,
        description="where limits, tickets and replay are kept; several workers need it for them",
    )
    rate_limit: Rate | None = Field(
        default=None,
        description="answers a user may ask for in a sliding window: 30/minute, 5/10 seconds",
    )
    user_answers: Positive | None = Field(
        default=None, description="answers under way for one user; more are refused with a 429"
    )
    max_body_bytes: Positive = Field(default=1024 * 1024, description="a larger body is a 413")
    max_prompt_chars: Positive = Field(default=200_000, description="of the prompt or all messages")
    max_messages: Positive = Field(default=256, description="of a request")
    max_answer_tokens: Positive = Field(
        default=16_384, description="the largest max_tokens that is taken"
    )

    request_timeout_s: Seconds = Field(
        default=15.0, description="for a request's headers, and again for its body"
    )
    connect_timeout_s: Seconds = Field(default=5.0, description="to the upstream")
    first_token_timeout_s: Seconds = Field(default=60.0, description="of a stream")
    token_timeout_s: Seconds = Field(default=30.0, description="between two tokens of a stream")
    answer_timeout_s: Seconds = Field(default=300.0, description="for the whole answer")
    upstream_retries: int = Field(default=2, ge=0, le=10, description="before the first token only")
    upstream_retry_after_s: Seconds = Field(
        default=2.0,
        description="longest Retry-After that is waited for; beyond it the client is told",
    )
    upstream_connections: Positive = Field(
        default=1000, description="answers in flight in a process; more are refused with a 503"
    )

    first_item_wait_s: Seconds = Field(
        default=10.0, description="an upstream failure within it keeps its true HTTP status"
    )
    coalesce_tokens: Positive = Field(default=4, description="tokens joined into one chunk")
    coalesce_ms: Seconds = Field(default=50.0, description="longest wait of a token for its chunk")
    heartbeat_s: Seconds = Field(default=15.0, description="after the last byte of a stream")
    queue_items: Positive = Field(
        default=512, description="tokens that wait in the app for a client; then the provider waits"
    )
    queue_bytes: Positive = Field(default=8 * 1024, description="the same in bytes of text")
    send_buffer_bytes: Positive = Field(
        default=32 * 1024, description="that the kernel keeps for a client who does not read"
    )
    send_timeout_s: Seconds = Field(
        default=20.0, description="a client who takes nothing for so long is cut"
    )
    drain_grace_s: float = Field(
        default=20.0, ge=0, allow_inf_nan=False, description="for running answers after SIGTERM"
    )

    resumable: bool = Field(
        default=True, description="/chat/sessions: streams that a browser can come back to"
    )
    ticket_s: Seconds = Field(default=60.0, description="for which a ticket opens its stream")
    resume_grace_s: Seconds = Field(
        default=10.0, description="an answer goes on while nobody reads it"
    )
    session_s: Seconds = Field(
        default=300.0, description="a session is kept before its stream begins, and after its end"
    )
    replay_bytes: Positive = Field(
        default=1024 * 1024, description="of a stream that are kept for clients who come back"
    )
    reconnect_s: Seconds = Field(
        default=5.0, description="a dropped EventSource waits a random part of it, at least 0.5"
    )
    legacy_url: AnyHttpUrl | None = Field(
        default=None, description="of the batch stack, which the page shows beside this one"
    )

    log_path: str = Field(
        default="-",
        description="one JSON line an answer: a file, - for stdout, empty for none",
    )
    log_sqlite: Path | None = Field(default=None, description="the same as rows of a database")

    legacy_threads: Positive = Field(default=100, description="gunicorn gthread threads a worker")

    @classmethod
    def load(cls) -> Self:
        """Reads the environment; raises SettingsError with one line a wrong variable."""
        try:
            return cls()
        except ValidationError as error:
            problems = [_problem(dict(item)) for item in error.errors(include_url=False)]
        raise SettingsError("; ".join(problems))

    @property
    def has_upstream(self) -> bool:
        """Whether a provider is configured; without one the scripted adapter answers."""
        return self.openai_api_key is not None or self.openai_base_url is not None

    def check_host(self, host: str) -> None:
        """Raises SettingsError for a host beyond loopback while no API key is configured."""
        if not self.api_keys and not only_here(host):
            raise SettingsError(
                f"refusing to listen on {host} without API keys: set CHAT_API_KEYS=user:sha256hex,..."
            )

    def check_workers(self, workers: int, *, resumable: bool = True) -> None:
        """Raises SettingsError for what several workers can only do through Redis, while none is configured."""
        if workers == 1 or self.redis_url:
            return
        if resumable and self.resumable:
            raise SettingsError(
                f"refusing {workers} workers with resumable streams and no Redis: "
                "set REDIS_URL, or CHAT_RESUMABLE=false"
            )
        if self.rate_limit or self.user_answers:
            raise SettingsError(
                f"refusing {workers} workers with limits a user and no Redis: set REDIS_URL"
            )


def _problem(item: dict[str, object]) -> str:
    location = item["loc"]
    assert isinstance(location, tuple)
    name = str(location[0])
    variable = name if name.isupper() else f"CHAT_{name.upper()}"
    return f"{variable}: {str(item['msg']).removeprefix('Value error, ')}"
