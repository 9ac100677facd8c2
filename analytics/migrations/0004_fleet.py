from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('analytics', '0003_streak_marks'),
    ]

    operations = [
        migrations.CreateModel(
            name='AdherenceDay',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('day', models.DateField()),
                ('family', models.CharField(max_length=20)),
                ('cohort', models.DateField()),
                ('people', models.IntegerField()),
                ('expected', models.IntegerField()),
                ('taken', models.IntegerField()),
                ('unknown', models.IntegerField()),
            ],
            options={
                'db_table': 'adherence_days',
            },
        ),
        migrations.CreateModel(
            name='CohortMonth',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('cohort', models.DateField()),
                ('month', models.DateField()),
                ('people', models.IntegerField()),
                ('active', models.IntegerField()),
            ],
            options={
                'db_table': 'cohort_months',
            },
        ),
        migrations.CreateModel(
            name='FleetDay',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('day', models.DateField()),
                ('device_type', models.CharField(max_length=50)),
                ('firmware_version', models.CharField(max_length=50)),
                ('devices', models.IntegerField()),
                ('active', models.IntegerField()),
                ('dispensed', models.IntegerField()),
                ('failed', models.IntegerField()),
                ('unknown', models.IntegerField()),
                ('disconnects', models.IntegerField()),
                ('battery_used', models.IntegerField()),
                ('supplement_used', models.IntegerField()),
            ],
            options={
                'db_table': 'fleet_days',
            },
        ),
        migrations.AddConstraint(
            model_name='adherenceday',
            constraint=models.UniqueConstraint(fields=('day', 'family', 'cohort'), name='one_adherence_day_each'),
        ),
        migrations.AddConstraint(
            model_name='cohortmonth',
            constraint=models.UniqueConstraint(fields=('cohort', 'month'), name='one_cohort_month_each'),
        ),
        migrations.AddConstraint(
            model_name='fleetday',
            constraint=models.UniqueConstraint(fields=('day', 'device_type', 'firmware_version'), name='one_fleet_day_each'),
        ),
    ]
