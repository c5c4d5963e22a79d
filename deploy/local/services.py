"""The processes of the system beside its servers: how each is called, what it is told, where it answers.

Ids, keys and tokens are generated once per stack and kept in its settings file. The names of the environment
are those of the services' settings classes and of docker-compose.yml.
"""

import base64
import hashlib
import json
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from deploy.local.layout import Layout, write_json
from libs.runtime.clock import uuid7
from libs.runtime.jwe import new_exchange_key

SERVICES = ("orders", "channels", "inventory", "notifications")

# The demo seller's shops; their numbers look as the marketplaces' own do.
LAZADA_SHOPS = (("id", "1000999001"), ("sg", "1000999002"))
TOKOPEDIA_SHOP = "9301177"
TOKOPEDIA_FS_ID = "15999"

# Tokopedia's four notifications: the key in endpoints.json, and the last part of the path they are pushed to.
TOKOPEDIA_TOPICS = {
    "notification": "order_notification",
    "status": "order_status",
    "cancellation": "order_cancellation",
    "cancel-request": "order_request_cancellation",
}


@dataclass(frozen=True)
class Process:
    """One process: its command, what it is told beside the caller's environment, its port."""

    name: str
    command: list[str]
    environment: dict[str, str]
    port: int
    # Where it answers 200 when it can work.
    ready: str = "/health/ready"


class Demo:
    """Who the demo is: seller, key, shops and secrets of one stack, and the files made of them."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def _kept(self, name: str, length: int = 32) -> str:
        return self._layout.secret(name, lambda: secrets.token_hex(length // 2))

    def _kept_id(self, name: str) -> str:
        return self._layout.secret(name, lambda: str(uuid7()))

    @property
    def seller(self) -> str:
        return self._kept_id("seller")

    @property
    def api_key(self) -> str:
        return self._layout.secret("api_key", lambda: f"jejak_{secrets.token_urlsafe(32)}")

    @property
    def api_keys(self) -> str:
        """Give what the services know of the demo key: its hash, never itself."""
        digest = hashlib.sha256(self.api_key.encode()).hexdigest()
        return json.dumps([{"id": "demo", "sha256": digest, "scopes": ["*"], "seller": self.seller}])

    @property
    def inbox_key(self) -> str:
        """Give the key under which channels keeps raw messages: 32 bytes in base64."""
        return self._layout.secret(
            "channels_inbox_key", lambda: base64.b64encode(secrets.token_bytes(32)).decode("ascii")
        )

    @property
    def key_encryption_keys(self) -> str:
        """Give the key-encryption key of orders and channels, with its id: 32 bytes in base64."""
        key = self._layout.secret(
            "key_encryption_key", lambda: base64.b64encode(secrets.token_bytes(32)).decode("ascii")
        )
        return f"demo-1:{key}"

    @property
    def exchange_keys(self) -> str:
        """Give the private key that other systems seal buyer data to, as a list of one JWK."""
        return f"[{self._layout.secret('exchange_key', lambda: new_exchange_key('demo-e1'))}]"

    @property
    def token_keys(self) -> str:
        """Give the private key that orders signs tokens with, as a list of one JWK."""
        return f"[{self._layout.secret('token_key', lambda: new_exchange_key('demo-t1'))}]"

    @property
    def hold_keys(self) -> str:
        """Give the public half of the key that holds are signed with; the secret `hold_key` has it whole."""
        key = json.loads(self._layout.secret("hold_key", lambda: new_exchange_key("demo-h1")))
        return json.dumps([{name: value for name, value in key.items() if name != "d"}])

    @property
    def token_issuers(self) -> str:
        """Give whose tokens every service takes: those that orders signs."""
        issuer = self._url("orders")
        keys = f"{issuer}/.well-known/jwks.json"
        return json.dumps([{"issuer": issuer, "audience": "jejak", "jwks_url": keys, "operates": True}])

    @property
    def lazada_app(self) -> tuple[str, str]:
        """Give the key and the secret of the Lazada app; its keys are decimal numbers."""
        key = self._layout.secret("lazada_app_key", lambda: str(100_000 + secrets.randbelow(900_000)))
        return key, self._kept("lazada_app_secret")

    @property
    def tokopedia_client(self) -> tuple[str, str]:
        return self._kept("tokopedia_client_id"), self._kept("tokopedia_client_secret")

    @property
    def tokopedia_path_token(self) -> str:
        """Give the part of the webhook path that nobody guesses: Tokopedia signs nothing."""
        return self._kept("tokopedia_path_token")

    def _url(self, part: str, path: str = "") -> str:
        return f"http://127.0.0.1:{self._layout.port(part)}{path}"

    @property
    def lazada_webhook(self) -> str:
        return self._url("channels", f"/webhooks/lazada/{self.lazada_app[0]}")

    @property
    def tokopedia_webhooks(self) -> dict[str, str]:
        prefix = f"/webhooks/tokopedia/{self.tokopedia_path_token}"
        return {key: self._url("channels", f"{prefix}/{topic}") for key, topic in TOKOPEDIA_TOPICS.items()}

    def _lazada_tokens(self, site: str) -> dict[str, str]:
        return {
            "access_token": self._kept(f"lazada_{site}_access_token"),
            "refresh_token": self._kept(f"lazada_{site}_refresh_token"),
        }

    def sandbox_config(self) -> dict[str, Any]:
        """Give what the simulators are told: where to listen, whom to know, whom to push to."""
        key, secret = self.lazada_app
        client_id, client_secret = self.tokopedia_client
        return {
            "ports": {
                name: self._layout.port(f"sandbox_{name}") for name in ("control", "lazada", "tokopedia")
            },
            "lazada": {
                "app_key": key,
                "app_secret": secret,
                "webhook_url": self.lazada_webhook,
                "shops": [
                    {"site": site, "seller_id": number, **self._lazada_tokens(site)}
                    for site, number in LAZADA_SHOPS
                ],
            },
            "tokopedia": {
                "fs_id": int(TOKOPEDIA_FS_ID),
                "client_id": client_id,
                "client_secret": client_secret,
                "webhooks": self.tokopedia_webhooks,
                "shops": [{"shop_id": int(TOKOPEDIA_SHOP)}],
            },
        }

    def seed(self) -> dict[str, Any]:
        """Give the demo seller's connections to marketplaces, as channels' command `seed` reads them."""
        lazada = [
            {
                "id": self._kept_id(f"connection_lazada_{site}"),
                "marketplace": "lazada",
                "site": site,
                "shop": number,
                **self._lazada_tokens(site),
            }
            for site, number in LAZADA_SHOPS
        ]
        tokopedia = {
            "id": self._kept_id("connection_tokopedia"),
            "marketplace": "tokopedia",
            "site": "id",
            "shop": TOKOPEDIA_SHOP,
        }
        return {"seller": self.seller, "connections": [*lazada, tokopedia]}

    def registration(self) -> dict[str, Any]:
        """Give the demo seller with its owner, as orders' command `register-seller` reads it."""
        return {
            "id": self.seller,
            "code": "DEMO",
            "name": "Toko Demo",
            "address": "Jl. Contoh 1, Jakarta",
            "payment_methods": ["COD", "TRANSFER", "GATEWAY", "INVOICE"],
            "bank_accounts": [{"bank": "Bank Contoh", "number": "1234567890", "holder": "Toko Demo"}],
            "owner": {"name": "Pemilik Demo", "id": self._kept_id("owner")},
        }

    def write_files(self) -> tuple[Path, Path]:
        """Write the sandbox's configuration and the seed, for the owner's eyes only; give both paths."""
        sandbox, seed = self._layout.directory / "sandbox.json", self._layout.directory / "seed.json"
        write_json(sandbox, self.sandbox_config(), mode=0o600)
        write_json(seed, self.seed(), mode=0o600)
        return sandbox, seed

    def write_registration(self) -> Path:
        """Write the demo seller's registration, for the owner's eyes only; give its path."""
        path = self._layout.directory / "seller.json"
        write_json(path, self.registration(), mode=0o600)
        return path

    def orders_environment(self) -> dict[str, str]:
        """Give what only orders is told."""
        return {
            "KEY_ENCRYPTION_KEYS": self.key_encryption_keys,
            "ORDERS_EXCHANGE_KEYS": self.exchange_keys,
            "ORDERS_TOKEN_KEYS": self.token_keys,
            "ORDERS_HOLD_KEYS": self.hold_keys,
            "ORDERS_TOKEN_ISSUER": self._url("orders"),
        }

    def channels_environment(self) -> dict[str, str]:
        """Give what only channels is told."""
        key, secret = self.lazada_app
        client_id, client_secret = self.tokopedia_client
        return {
            "CHANNELS_INBOX_KEY": self.inbox_key,
            "KEY_ENCRYPTION_KEYS": self.key_encryption_keys,
            "CHANNELS_LAZADA_APP_KEY": key,
            "CHANNELS_LAZADA_APP_SECRETS": secret,
            "CHANNELS_LAZADA_BASE_URL": self._url("sandbox_lazada", "/rest"),
            "CHANNELS_TOKOPEDIA_FS_ID": TOKOPEDIA_FS_ID,
            "CHANNELS_TOKOPEDIA_CLIENT_ID": client_id,
            "CHANNELS_TOKOPEDIA_CLIENT_SECRET": client_secret,
            "CHANNELS_TOKOPEDIA_BASE_URL": self._url("sandbox_tokopedia"),
            "CHANNELS_TOKOPEDIA_ACCOUNTS_URL": self._url("sandbox_tokopedia"),
            "CHANNELS_TOKOPEDIA_PATH_TOKEN": self.tokopedia_path_token,
            "CHANNELS_TOKOPEDIA_ALLOWED_ADDRESSES": "127.0.0.1",
            "CHANNELS_POLL_SECONDS": "3",
        }

    def endpoints(self, *, kafka: str, database: str, processes: dict[str, int]) -> dict[str, Any]:
        """Give the content of endpoints.json: what one needs to use, test or kill the running system."""
        key, secret = self.lazada_app
        return {
            "kafka": kafka,
            "database": database,
            "api_key": self.api_key,
            "seller": self.seller,
            **{name: self._url(name) for name in SERVICES},
            "sandbox": {
                "control": self._url("sandbox_control"),
                "lazada": self._url("sandbox_lazada"),
                "tokopedia": self._url("sandbox_tokopedia"),
                # No simulator yet: the control door answers 501 there.
                "tiktok": self._url("sandbox_control", "/tiktok"),
            },
            "webhooks": {
                "lazada": {"url": self.lazada_webhook, "app_key": key, "app_secret": secret},
                "tokopedia": self.tokopedia_webhooks,
            },
            "processes": processes,
        }


def environment(layout: Layout, name: str, *, kafka: str, database: str) -> dict[str, str]:
    """Give what a service is told: what all share, its own port, and secrets that are its own only."""
    demo = Demo(layout)
    shared = {
        "KAFKA_BOOTSTRAP_SERVERS": kafka,
        "DATABASE_URL": database,
        "API_KEYS": demo.api_keys,
        "TOKEN_ISSUERS": demo.token_issuers,
    }
    own = {"channels": demo.channels_environment, "orders": demo.orders_environment}.get(name, dict)()
    return {**shared, f"{name.upper()}_HTTP_PORT": str(layout.port(name)), **own}


def table(layout: Layout, *, kafka: str, database: str, sandbox: Path) -> list[Process]:
    """Give every process in the order in which they start."""
    simulators = Process(
        name="sandbox",
        command=[sys.executable, "-m", "deploy.sandbox", "--config", str(sandbox)],
        # It reads its file once: the digest makes a changed file a reason to start it anew.
        environment={"SANDBOX_CONFIG_DIGEST": hashlib.sha256(sandbox.read_bytes()).hexdigest()},
        port=layout.port("sandbox_control"),
        ready="/health",
    )
    return [
        simulators,
        *(
            Process(
                name=name,
                command=[sys.executable, "-m", f"services.{name}", "serve"],
                environment=environment(layout, name, kafka=kafka, database=database),
                port=layout.port(name),
            )
            for name in SERVICES
        ),
    ]
