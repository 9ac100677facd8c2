"""The addresses of the product, as far as they are measured."""

from django.urls import path

from benchmarks.stock import sync, views

urlpatterns = [
    path("v1/devices", views.DeviceViewSet.as_view({"get": "list"})),
    path("v1/devices/<uuid:pk>", views.DeviceViewSet.as_view({"get": "retrieve"})),
    path("v1/devices/<uuid:pk>/status", views.ReportViewSet.as_view({"patch": "status"})),
    path("v1/states", views.StateViewSet.as_view({"get": "list"})),
    path("v1/states/<uuid:pk>", views.ReportViewSet.as_view({"post": "state"})),
    path("v1/notifications", views.NotificationViewSet.as_view({"get": "list"})),
    path("v1/activities", views.ActivityViewSet.as_view({"get": "list"})),
    path("v1/sync/delta", sync.SyncViewSet.as_view({"post": "delta"})),
    path("v1/sync/full", sync.SyncViewSet.as_view({"post": "full"})),
]
