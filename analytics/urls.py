"""Section 9 of the API comes with its own change; the mount is here already."""

from django.urls import URLPattern

urlpatterns: list[URLPattern] = []
