from telemetry.state_views import StateHistoryViewSet, StateViewSet
from telemetry.views import OneDeviceViewSet, StatesViewSet, StatusViewSet
from zinzino.api.views import route

urlpatterns = [
    route(
        "devices/<id:device_id>",
        OneDeviceViewSet,
        "device",
        get="retrieve",
        put="update",
        delete="destroy",
    ),
    route("devices/<id:device_id>/history", OneDeviceViewSet, "device-history", get="history"),
    route("devices/<id:device_id>/status", StatusViewSet, "device-status", patch="partial_update"),
    route("states", StatesViewSet, "states", get="list"),
    route("states/<id:device_id>", StateViewSet, "state", get="retrieve", post="create"),
    route("states/<id:device_id>/history", StateHistoryViewSet, "state-history", get="history"),
]
