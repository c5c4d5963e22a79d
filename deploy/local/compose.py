"""The secrets that docker-compose.yml asks for, generated once and written where git does not look."""

import os

from deploy.local.layout import LOCAL, Layout
from deploy.local.postgres import password
from deploy.local.services import LAZADA_SHOPS, Demo


def variables(layout: Layout) -> dict[str, str]:
    """Give every variable that docker-compose.yml requires, from the same secrets as the native stack's."""
    demo = Demo(layout)
    channels = demo.channels_environment()
    seed = {connection["shop"]: connection for connection in demo.seed()["connections"]}
    lazada: dict[str, str] = {}
    for site, shop in LAZADA_SHOPS:
        lazada[f"DEMO_LAZADA_{site.upper()}_CONNECTION"] = seed[shop]["id"]
        lazada[f"DEMO_LAZADA_{site.upper()}_ACCESS_TOKEN"] = seed[shop]["access_token"]
        lazada[f"DEMO_LAZADA_{site.upper()}_REFRESH_TOKEN"] = seed[shop]["refresh_token"]
    wanted = ["INBOX_KEY", "LAZADA_APP_KEY", "LAZADA_APP_SECRETS", "TOKOPEDIA_CLIENT_ID"]
    wanted += ["TOKOPEDIA_CLIENT_SECRET", "TOKOPEDIA_PATH_TOKEN"]
    return {
        "POSTGRES_PASSWORD": password(layout),
        "API_KEYS": demo.api_keys,
        **{name: value for name, value in demo.orders_environment().items() if name != "ORDERS_TOKEN_ISSUER"},
        **{f"CHANNELS_{name}": channels[f"CHANNELS_{name}"] for name in wanted},
        "DEMO_LAZADA_APP_SECRET": demo.lazada_app[1],
        "DEMO_SELLER": demo.seller,
        "DEMO_OWNER": demo.registration()["owner"]["id"],
        **lazada,
        "DEMO_TOKOPEDIA_CONNECTION": demo.seed()["connections"][-1]["id"],
    }


def write_environment(layout: Layout) -> None:
    """Write `.local/compose.env` for its owner's eyes only, and say how to use it."""
    path = LOCAL / "compose.env"
    path.parent.mkdir(exist_ok=True)
    path.unlink(missing_ok=True)
    # Single quotes: compose takes what is between them as it is, and the keys are JSON.
    text = "".join(f"{name}='{value}'\n" for name, value in variables(layout).items())
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as out:
        out.write(text)
    print(f"wrote {path}; now: docker compose --env-file {path} up --build --wait")
    print(f"the demo key: {Demo(layout).api_key}")
