from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_apple_grants'),
        ('analytics', '0005_rollups_of_a_day'),
    ]

    operations = [
        migrations.CreateModel(
            name='AdherenceReport',
            fields=[
            ],
            options={
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('accounts.user',),
        ),
        migrations.CreateModel(
            name='FleetReport',
            fields=[
            ],
            options={
                'verbose_name_plural': 'fleet report',
                'proxy': True,
                'indexes': [],
                'constraints': [],
            },
            bases=('analytics.fleetday',),
        ),
    ]
