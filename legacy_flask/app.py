"""The composition root: wiring only."""

from flask import Flask

from shared.settings import Settings

from . import cors, errors, telemetry
from .routes import api
from .services import Services


# region: create-app
def create_app(settings: Settings, services: Services) -> Flask:
    """The Flask application around services that the caller opened."""
    app = Flask(__name__, static_folder=None)
    # One more than is taken: werkzeug cuts a chunked body off at its limit without a word.
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes + 1
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.url_map.merge_slashes = False
    app.extensions["services"] = services
    telemetry.install(app)
    cors.install(app, settings.cors_origins)
    errors.install(app)
    app.register_blueprint(api)
    return app
