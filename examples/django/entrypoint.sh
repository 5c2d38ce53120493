#!/bin/sh
# Brings the database up to date, then becomes the process that it is given.
set -e
python manage.py migrate --noinput
exec "$@"
