"""A guest book kept in memory, behind an application factory."""

import os

from flask import Flask

from . import pages


def create_app():
    app = Flask(__name__)
    app.config["SALUTATION"] = os.environ.get("SALUTATION", "Hello")
    app.register_blueprint(pages.blueprint)
    return app
