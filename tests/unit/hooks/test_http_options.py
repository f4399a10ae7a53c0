from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_provider_cio_cohort.exceptions import ConfigurationError
from airflow_provider_cio_cohort.hooks.http_options import HttpOptions, http_options

CONNECTION = SimpleNamespace(conn_id="some_conn")


@pytest.mark.parametrize(
    ("extra", "options"),
    [
        ({"app_api_key": "k", "region": "eu", "X-Header": "v"}, {}),
        ({"verify": "", "timeout": None, "proxy": ""}, {}),
        ({"proxy": "http://p:1"}, {"proxies": {"http": "http://p:1", "https": "http://p:1"}}),
        ({"proxies": {"https": "http://p:1"}}, {"proxies": {"https": "http://p:1"}}),
        ({"verify": "false"}, {"verify": False}),
        ({"verify_ssl": True}, {"verify": True}),
        ({"verify": __file__}, {"verify": __file__}),
        ({"timeout": "7"}, {"timeout": 7.0}),
        ({"trust_env": "False"}, {"trust_env": False}),
        ({"trust_env": "true"}, {"trust_env": True}),
        ({"proxies": '{"https": "http://p:1"}'}, {"proxies": {"https": "http://p:1"}}),
        ({"proxies": {"https": "http://p:1", "http": None}}, {"proxies": {"https": "http://p:1"}}),
        (
            {"proxies": {"all": "me:p%2Fw@p:1", "no_proxy": "localhost,.test"}},
            {"proxies": {"all": "me:p%2Fw@p:1", "no_proxy": "localhost,.test"}},
        ),
        ({"cert": f'["{__file__}"]'}, {"cert": (__file__,)}),
        ({"cert": [__file__, __file__]}, {"cert": (__file__, __file__)}),
        ({"cert": __file__}, {"cert": __file__}),
    ],
)
def test_what_an_extra_says(extra, options) -> None:
    assert http_options(CONNECTION, extra) == HttpOptions(**options)


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        ({"verify": "/no/such/file.pem"}, "verify"),
        ({"verify": "of course"}, "verify"),
        ({"timeout": "soon"}, "timeout"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": "inf"}, "timeout"),
        ({"timeout": 1e9}, "timeout"),
        ({"timeout": 10**400}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"trust_env": "surely"}, "trust_env"),
        ({"proxies": ["http://p:1"]}, "proxies"),
        ({"proxies": {"HTTPS": "http://p:1"}}, "proxies"),
        ({"proxies": {"ftp": "http://p:1"}}, "proxies"),
        ({"cert": ["/no/such/file.pem", __file__]}, "cert"),
        ({"cert": [__file__] * 3}, "cert"),
        ({"cert": []}, "cert"),
        ({"cert": {"file": __file__}}, "cert"),
        ({"proxies": 7}, "proxies"),
        ({"proxies": {"https": 7}}, "proxies"),
    ],
)
def test_what_no_client_can_use_names_the_field_and_the_connection(extra, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} in the extra of connection 'some_conn'"):
        http_options(CONNECTION, extra)


@pytest.mark.parametrize(
    ("proxy", "flaw"),
    [
        ("socks5://me:secret@p:1", "has an unknown scheme: socks5"),
        ("htps://me:secret@p:1", "has an unknown scheme: htps"),
        ("http://me:sec/ret@p:1", "has a port that is not a number"),
        ("http://me:secret@p:port", "has a port that is not a number"),
        ("http://me:secret@p:99999", "has a port that is not a number"),
        ("http://me:secret@", "has no host"),
        ("http://", "has no host"),
        ("http://me:secret@p: 1", "contains a space"),
        ("me:secret@[::1", "is not a URL"),
        ("://", "has no scheme"),
    ],
)
@pytest.mark.parametrize("of", ["both", "https"])
def test_an_odd_proxy_is_named_without_its_password(proxy: str, flaw: str, of: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        http_options(CONNECTION, {"proxies": proxy if of == "both" else {of: proxy}})
    assert f"The proxy in the extra of connection 'some_conn' {flaw}" in caught.value.headline
    assert "in the key proxies" in str(caught.value)
    assert "sec" not in str(caught.value)


def test_tls_is_not_turned_off_by_an_empty_or_misspelt_field(tmp_path: Path) -> None:
    assert http_options(CONNECTION, {"verify": None}).verify is True
    with pytest.raises(ConfigurationError):
        http_options(CONNECTION, {"verify": "flase"})
