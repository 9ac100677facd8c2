from telemetry.activity_views import ActivitiesViewSet, ActivityViewSet
from telemetry.contact_views import ContactViewSet, DeviceCommandsViewSet
from telemetry.decision_views import DecisionReasonsViewSet, DecisionsViewSet
from telemetry.firmware_views import FirmwareViewSet
from telemetry.iot_views import DispenseViewSet, EventsViewSet
from telemetry.state_views import StateHistoryViewSet, StateViewSet
from telemetry.views import OneDeviceViewSet, StatesViewSet, StatusViewSet
from zinzino.api.views import route

urlpatterns = [
    route("utility/decision-reasons", DecisionReasonsViewSet, "decision-reasons", get="list"),
    route("devices/<id:device_id>/decisions", DecisionsViewSet, "device-decisions", get="list"),
    route("iot/hello", ContactViewSet, "iot-hello", post="hello"),
    route("iot/heartbeat", ContactViewSet, "iot-heartbeat", post="heartbeat"),
    route("iot/credentials/rotate", ContactViewSet, "iot-rotate", post="rotate"),
    route("iot/factory-reset", ContactViewSet, "iot-factory-reset", post="factory_reset"),
    route("iot/commands", DeviceCommandsViewSet, "iot-commands", get="fetch"),
    route("iot/commands/<id:command_id>/ack", DeviceCommandsViewSet, "iot-command-ack", post="acknowledge"),
    route("iot/events", EventsViewSet, "iot-events", post="take"),
    route("iot/dispense/request", DispenseViewSet, "dispense-request", post="ask"),
    route("iot/dispense/<id:dispense_id>/confirm", DispenseViewSet, "dispense-confirm", post="confirm"),
    route("iot/firmware/check", FirmwareViewSet, "firmware-check", get="check"),
    route("iot/firmware/<id:release_id>/download", FirmwareViewSet, "firmware-download", get="download"),
    route("iot/firmware/jobs/<id:job_id>/status", FirmwareViewSet, "firmware-job", post="report"),
    route("devices/<id:device_id>/history", OneDeviceViewSet, "device-history", get="history"),
    route("devices/<id:device_id>/status", StatusViewSet, "device-status", patch="partial_update"),
    route("states", StatesViewSet, "states", get="list"),
    route("states/<id:device_id>", StateViewSet, "state", get="retrieve", post="create"),
    route("states/<id:device_id>/history", StateHistoryViewSet, "state-history", get="history"),
    route("activities", ActivitiesViewSet, "activities", get="list", post="create"),
    route("activities/batch", ActivitiesViewSet, "activities-batch", post="batch"),
    route("activities/summary", ActivitiesViewSet, "activities-summary", get="summary"),
    route("activities/export", ActivitiesViewSet, "activities-export", get="export"),
    route(
        "activities/<id:activity_id>", ActivityViewSet, "activity", get="retrieve", put="update", delete="destroy"
    ),
    route("activities/<id:activity_id>/resolve", ActivityViewSet, "activity-resolve", post="resolve"),
]
