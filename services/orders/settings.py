"""What orders reads from its environment; built in __main__ only."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from libs.runtime.jwe import ExchangeKeys
from libs.runtime.keys import NamedKeys
from libs.runtime.settings import ServiceSettings
from services.orders.holds import PublicKeys


class OrdersSettings(ServiceSettings):
    """The settings of orders beside those that all services share."""

    model_config = SettingsConfigDict(env_prefix="ORDERS_")

    http_port: Annotated[int, Field(ge=0, le=65_535)]
    """The port that HTTP is answered on; 0 takes a free one"""

    key_encryption_keys: NamedKeys
    """The key-encryption keys, the same for orders and channels, each `id:` and 32 bytes in base64, comma
    separated: the first seals what topics say of buyers and wraps keys, all of them open"""

    exchange_keys: ExchangeKeys = ()
    """Private keys that other systems seal what they say of buyers to: a JSON list of JWKs (EC, P-256, with a
    kid); their public halves stand at /.well-known/jwks.json"""

    token_keys: ExchangeKeys = ()
    """Private keys that tokens are signed with: a JSON list of JWKs (EC, P-256, with a kid), the first signs,
    all of them verify; empty: no tokens are made"""

    token_issuer: str = ""
    """Who says so in the tokens that are made here: the address of orders, as other services reach it"""

    hold_keys: PublicKeys = ()
    """Public keys that inventory signs stock holds with: a JSON list of JWKs (Ed25519 or P-256); empty: no
    hold is taken"""

    waiting_seconds_max: Annotated[int, Field(ge=1)] = 3_600
    """How long a fact waits for its order's placement before it is parked (MK-2)"""

    parked_max: Annotated[int, Field(ge=1)] = 1_000
    """How many records may be parked by a fault of their own before consumption stops on purpose"""
