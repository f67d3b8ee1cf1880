"""The certificates that connections to StackSpot trust."""

from __future__ import annotations

import os
import ssl

import httpx

from ...errors import ConfigurationError


def tls_context(ca_bundle: str) -> ssl.SSLContext:
    """Return a context that trusts certifi (or SSL_CERT_FILE), the system, and `ca_bundle`.

    Raises ConfigurationError for a file that is missing or contains no certificate.
    """
    try:
        context = httpx.create_ssl_context()
    except OSError as error:
        raise _certificate_file_error("SSL_CERT_FILE", os.environ.get("SSL_CERT_FILE", ""), error) from None
    context.load_default_certs()
    if ca_bundle:
        try:
            context.load_verify_locations(cafile=ca_bundle)
        except (OSError, ValueError) as error:
            raise _certificate_file_error("STACKSPOT_CA_BUNDLE", ca_bundle, error) from None
    return context


def _certificate_file_error(name: str, file: str, error: Exception) -> ConfigurationError:
    reason = getattr(error, "strerror", None) if not isinstance(error, ssl.SSLError) else "it holds no certificate"
    return ConfigurationError(
        f"{name} is {file!r}: it is not a file of PEM certificates ({reason or type(error).__name__}). "
        "Name a file that holds at least one."
    )
