"""Settings; what differs from place to place stands in `config/settings.ini`.

`make docker_config` writes that file from the environment before a container starts.
Whoever prefers it mounts a file of their own there.
"""

from configparser import ConfigParser
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent

local = ConfigParser(interpolation=None)
local.read(BASE_DIR / "config" / "settings.ini")

SECRET_KEY = local.get("shop", "secret_key", fallback="")
ALLOWED_HOSTS = local.get("shop", "allowed_hosts", fallback="localhost,127.0.0.1").split(",")
SHOP_NAME = local.get("shop", "name", fallback="Shop")

INSTALLED_APPS = ["django.contrib.staticfiles", "orders"]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.common.CommonMiddleware",
]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
ROOT_URLCONF = "shop.urls"
WSGI_APPLICATION = "shop.wsgi.application"
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE_DIR / "data" / "shop.sqlite3"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
