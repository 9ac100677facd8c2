from devices.views import DevicesViewSet, DeviceViewSet
from zinzino.api.views import route

urlpatterns = [
    route("devices", DevicesViewSet, "devices", get="list", post="create"),
    route("devices/<id:device_id>/token", DeviceViewSet, "device-token", post="new_token"),
]
