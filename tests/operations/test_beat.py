"""Beat starts on a data folder that nobody has used yet, as a container's is."""

from pathlib import Path

from zinzino.celery import app


def test_beat_makes_the_folder_of_its_schedule(tmp_path: Path) -> None:
    schedule = tmp_path / "data" / "run" / "beat"
    beat = app.Beat(schedule=str(schedule), quiet=True)
    scheduler = beat.Service(
        app=app, schedule_filename=str(schedule), scheduler_cls=app.conf.beat_scheduler
    ).scheduler
    scheduler.close()
    assert list(schedule.parent.iterdir())
