"""gunicorn for the batch stack, as `python -m legacy_flask` sets it: `gunicorn -c deploy/gunicorn.conf.py`."""

import math

from legacy_flask.__main__ import KEEP_ALIVE_S
from shared.settings import Settings

_settings = Settings.load()

wsgi_app = "legacy_flask.__main__:app()"
bind = "127.0.0.1:8001"
workers = 2  # one a core
worker_class = (
    "gthread"  # a sync worker is killed in the middle of an answer that takes longer than `timeout`
)
threads = _settings.legacy_threads
keepalive = KEEP_ALIVE_S
timeout = 120
graceful_timeout = math.ceil(_settings.drain_grace_s)
control_socket_disable = True
