"""The pages of the application."""

from flask import Blueprint, current_app, render_template

blueprint = Blueprint("pages", __name__)


@blueprint.get("/")
def index():
    return render_template("index.html", salutation=current_app.config["SALUTATION"])


@blueprint.get("/health")
def health():
    return {"status": "ok"}
