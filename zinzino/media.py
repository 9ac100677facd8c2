"""Where pictures and exports are kept: on this disk, or in a bucket of S3 or what speaks like it."""

from pathlib import Path
from typing import Any

Storages = dict[str, dict[str, Any]]

# A picture is stored while its owner's row is locked: a slow bucket must not hold it for long.
CONNECT_TIMEOUT_S, READ_TIMEOUT_S, ATTEMPTS = 3, 10, 2
# How long the address of an export in the bucket is good, once somebody has asked us for it.
HANDED_OUT_FOR_S = 300
UNCHANGING = "public, max-age=31536000, immutable"
FILES = "django.core.files.storage.FileSystemStorage"


def storages(private_root: Path, *, bucket: str, **access: str) -> Storages:
    """Django's setting: `default` holds the pictures, which everybody may read; `private` is for nobody."""
    pages = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
    if bucket:
        return {**in_bucket(bucket, **access), **pages}
    modes = {"file_permissions_mode": 0o600, "directory_permissions_mode": 0o700}
    return {
        "default": {"BACKEND": FILES},
        "private": {"BACKEND": FILES, "OPTIONS": {"location": private_root, **modes}},
        **pages,
    }


def in_bucket(bucket: str, *, endpoint: str, region: str, access_key: str, secret_key: str) -> Storages:
    from botocore.config import Config  # type: ignore[import-untyped]  # slow; only where there is a bucket

    options = {
        "bucket_name": bucket,
        "endpoint_url": endpoint or None,
        "region_name": region or None,
        "access_key": access_key or None,
        "secret_key": secret_key or None,
        "file_overwrite": False,
        "querystring_expire": HANDED_OUT_FOR_S,
        "client_config": Config(
            signature_version="s3v4",
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            retries={"total_max_attempts": ATTEMPTS},
        ),
    }
    backend = "storages.backends.s3.S3Storage"
    pictures = {"object_parameters": {"CacheControl": UNCHANGING}}
    return {
        "default": {"BACKEND": backend, "OPTIONS": options | pictures},
        "private": {"BACKEND": backend, "OPTIONS": options | {"location": "private"}},
    }
