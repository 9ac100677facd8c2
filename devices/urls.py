from devices.command_views import CommandsViewSet, CommandViewSet
from devices.plan_views import PlanViewSet
from devices.provisioning_views import ProvisioningViewSet
from devices.type_views import DeviceTypesViewSet
from devices.views import DevicesViewSet, DeviceViewSet
from zinzino.api.views import route

urlpatterns = [
    route("iot/provision", ProvisioningViewSet, "iot-provision", post="create"),
    route("utility/device-types", DeviceTypesViewSet, "device-types", get="list"),
    route("devices", DevicesViewSet, "devices", get="list", post="create"),
    route("devices/<id:device_id>/plan", PlanViewSet, "device-plan", get="retrieve", put="update"),
    route("devices/<id:device_id>/commands", CommandsViewSet, "device-commands", get="list", post="create"),
    route(
        "devices/<id:device_id>/commands/<id:command_id>",
        CommandViewSet,
        "device-command",
        get="retrieve",
        delete="destroy",
    ),
    route("devices/<id:device_id>/token", DeviceViewSet, "device-token", post="new_token"),
]
