"""The configuration: every variable is read, a wrong one is named, and nothing changes afterwards."""

import hashlib
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.settings import Settings, SettingsError

HASH = hashlib.sha256(b"key").hexdigest()
# variable, field, a value that is allowed, what it becomes, one that is not, what the message says is allowed
ROWS = [
    ("OPENAI_BASE_URL", "openai_base_url", "http://h:1/v1", "http://h:1/v1", "h:1", "'http' or"),
    ("CHAT_MODEL", "model", "m", "m", "", "at least 1 character"),
    ("CHAT_API_KEYS", "api_keys", f"a:{HASH}, b@c:{HASH}", (f"a:{HASH}", f"b@c:{HASH}"), "a:b", "a-f"),
    ("CHAT_CORS_ORIGINS", "cors_origins", "http://a:1, https://b", ("http://a:1", "https://b"), "*", "pattern"),
    ("REDIS_URL", "redis_url", "redis://h:7/1", "redis://h:7/1", "http://h", "'redis'"),
    ("CHAT_RATE_LIMIT", "rate_limit", "5/10 seconds", "5/10 seconds", "5 a minute", "pattern"),
    ("CHAT_USER_ANSWERS", "user_answers", "5", 5, "0", "greater than or equal to 1"),
    ("CHAT_MAX_BODY_BYTES", "max_body_bytes", "1", 1, "0", "greater than or equal to 1"),
    ("CHAT_MAX_PROMPT_CHARS", "max_prompt_chars", "7", 7, "-1", "greater than or equal to 1"),
    ("CHAT_MAX_MESSAGES", "max_messages", "7", 7, "1.5", "valid integer"),
    ("CHAT_MAX_ANSWER_TOKENS", "max_answer_tokens", "7", 7, "many", "valid integer"),
    ("CHAT_REQUEST_TIMEOUT_S", "request_timeout_s", "0.5", 0.5, "0", "greater than 0"),
    ("CHAT_CONNECT_TIMEOUT_S", "connect_timeout_s", "0.5", 0.5, "0", "greater than 0"),
    ("CHAT_FIRST_TOKEN_TIMEOUT_S", "first_token_timeout_s", "9", 9.0, "0", "greater than 0"),
    ("CHAT_TOKEN_TIMEOUT_S", "token_timeout_s", "0.5", 0.5, "inf", "finite number"),
    ("CHAT_ANSWER_TIMEOUT_S", "answer_timeout_s", "0.5", 0.5, "nan", "finite number"),
    ("CHAT_UPSTREAM_RETRIES", "upstream_retries", "0", 0, "11", "less than or equal to 10"),
    ("CHAT_UPSTREAM_RETRY_AFTER_S", "upstream_retry_after_s", "1", 1.0, "x", "valid number"),
    ("CHAT_UPSTREAM_CONNECTIONS", "upstream_connections", "9", 9, "0", "greater than or equal to"),
    ("CHAT_FIRST_ITEM_WAIT_S", "first_item_wait_s", "1", 1.0, "-1", "greater than 0"),
    ("CHAT_COALESCE_TOKENS", "coalesce_tokens", "1", 1, "0", "greater than or equal to 1"),
    ("CHAT_COALESCE_MS", "coalesce_ms", "5", 5.0, "0", "greater than 0"),
    ("CHAT_HEARTBEAT_S", "heartbeat_s", "5", 5.0, "0", "greater than 0"),
    ("CHAT_QUEUE_ITEMS", "queue_items", "5", 5, "0", "greater than or equal to 1"),
    ("CHAT_QUEUE_BYTES", "queue_bytes", "5", 5, "0", "greater than or equal to 1"),
    ("CHAT_SEND_BUFFER_BYTES", "send_buffer_bytes", "4096", 4096, "0", "greater than or equal to 1"),
    ("CHAT_SEND_TIMEOUT_S", "send_timeout_s", "5", 5.0, "0", "greater than 0"),
    ("CHAT_DRAIN_GRACE_S", "drain_grace_s", "0", 0.0, "-1", "greater than or equal to 0"),
    ("CHAT_RESUMABLE", "resumable", "false", False, "maybe", "valid boolean"),
    ("CHAT_TICKET_S", "ticket_s", "5", 5.0, "0", "greater than 0"),
    ("CHAT_RESUME_GRACE_S", "resume_grace_s", "5", 5.0, "0", "greater than 0"),
    ("CHAT_SESSION_S", "session_s", "5", 5.0, "0", "greater than 0"),
    ("CHAT_REPLAY_BYTES", "replay_bytes", "5", 5, "0", "greater than or equal to 1"),
    ("CHAT_RECONNECT_S", "reconnect_s", "5", 5.0, "0", "greater than 0"),
    ("CHAT_LEGACY_URL", "legacy_url", "http://h:7/", "http://h:7/", "h", "valid URL"),
    ("CHAT_LEGACY_THREADS", "legacy_threads", "5", 5, "0", "greater than or equal to 1"),
]  # fmt: skip
FREE = [  # a path may be anything
    ("CHAT_LOG_PATH", "log_path", "a.jsonl", "a.jsonl"),
    ("CHAT_LOG_SQLITE", "log_sqlite", "a.db", Path("a.db")),
]
PASSWORD = "redis://:never-print-this@h:7/0"
SECRET = "sk-never-print-this"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", *(row[0] for row in ROWS), *(row[0] for row in FREE)):
        monkeypatch.delenv(variable, raising=False)


def test_the_rows_above_are_all_the_settings() -> None:
    assert {row[1] for row in [*ROWS, *FREE]} | {"openai_api_key"} == set(Settings.model_fields)


@pytest.mark.parametrize(
    ("variable", "field", "value", "becomes"), [row[:4] for row in ROWS] + FREE
)
def test_a_variable_is_read(
    monkeypatch: pytest.MonkeyPatch, variable: str, field: str, value: str, becomes: object
) -> None:
    monkeypatch.setenv(variable, value)
    read = getattr(Settings.load(), field)
    read = str(read) if field.endswith("_url") else read
    assert read == becomes
    assert isinstance(read, type(becomes))


@pytest.mark.parametrize(("variable", "wrong", "allowed"), [(row[0], *row[4:]) for row in ROWS])
def test_a_wrong_value_names_the_variable_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str, wrong: str, allowed: str
) -> None:
    monkeypatch.setenv(variable, wrong)
    with pytest.raises(SettingsError) as raised:
        Settings.load()
    assert str(raised.value).startswith(f"{variable}: ")
    assert allowed in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert raised.value.__cause__ is raised.value.__context__ is None


def test_every_wrong_value_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable, *_, wrong, _allowed in ROWS:
        monkeypatch.setenv(variable, wrong)
    with pytest.raises(SettingsError) as raised:
        Settings.load()
    assert [part.split(":")[0] for part in str(raised.value).split("; ")] == [
        row[0] for row in ROWS
    ]


def test_no_value_is_repeated_in_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("CHAT_API_KEYS", "OPENAI_BASE_URL", "CHAT_QUEUE_ITEMS"):
        monkeypatch.setenv(variable, SECRET)
    with pytest.raises(SettingsError) as raised:
        Settings.load()
    assert SECRET not in str(raised.value)


def test_the_key_is_read_and_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    settings = Settings.load()
    assert settings.openai_api_key is not None
    assert settings.openai_api_key.get_secret_value() == SECRET
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump_json()}"


def test_without_variables_there_is_no_provider_and_no_key() -> None:
    settings = Settings.load()
    assert not settings.has_upstream
    assert settings.api_keys == ()


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "OPENAI_BASE_URL"])
def test_a_key_or_an_address_is_a_provider(monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:1/v1")
    assert Settings.load().has_upstream


def test_settings_are_frozen() -> None:
    settings = Settings.load()
    for name in Settings.model_fields:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(settings, name, None)


def test_the_password_of_redis_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", PASSWORD)
    assert "never-print-this" not in repr(Settings.load())


LIMITS = {"CHAT_RATE_LIMIT": "5/minute", "CHAT_USER_ANSWERS": "5"}


@pytest.mark.parametrize(
    ("chosen", "resumable", "word"),
    [
        ({}, True, "resumable"),
        ({**LIMITS, "CHAT_RESUMABLE": "false"}, True, "limits"),
        *(({name: LIMITS[name]}, False, "limits") for name in LIMITS),
    ],
)
def test_several_workers_share_through_redis(
    monkeypatch: pytest.MonkeyPatch, chosen: dict[str, str], resumable: bool, word: str
) -> None:
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    Settings.load().check_workers(1, resumable=resumable)
    with pytest.raises(SettingsError, match=f"refusing 2 workers with .*{word}.*REDIS_URL"):
        Settings.load().check_workers(2, resumable=resumable)
    monkeypatch.setenv("REDIS_URL", PASSWORD)
    Settings.load().check_workers(2, resumable=resumable)


def test_workers_that_share_nothing_need_no_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    Settings.load().check_workers(2, resumable=False)
    monkeypatch.setenv("CHAT_RESUMABLE", "false")
    Settings.load().check_workers(2)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "host.invalid", ""])
def test_a_host_beyond_loopback_needs_keys(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    with pytest.raises(SettingsError, match="CHAT_API_KEYS"):
        Settings.load().check_host(host)
    monkeypatch.setenv("CHAT_API_KEYS", f"ada:{HASH}")
    Settings.load().check_host(host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost"])
def test_loopback_needs_none(host: str) -> None:
    Settings.load().check_host(host)
