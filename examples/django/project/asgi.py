"""The ASGI application.

Django serves no static files outside of its own development server. So that the admin has its style sheets here, its
static files are served by Django's ASGIStaticFilesHandler, which is made for development; in production a web server
or a package such as WhiteNoise serves what collectstatic has collected.
"""

import os

from django.contrib.staticfiles.handlers import ASGIStaticFilesHandler
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "project.settings")

application = ASGIStaticFilesHandler(get_asgi_application())
