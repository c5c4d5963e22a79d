"""What channels reads from its environment; no secret and no address has a default."""

import base64
import binascii
import ipaddress
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from libs.runtime.keys import NamedKeys
from libs.runtime.settings import ServiceSettings

KEY_BYTES = 32

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _parts(value: Any) -> Any:
    """The parts of a comma-separated text, blanks left out; what a caller gives as a list passes."""
    if not isinstance(value, str):
        return value
    return [part.strip() for part in value.split(",") if part.strip()]


Secrets = Annotated[tuple[SecretStr, ...], NoDecode, BeforeValidator(_parts)]
Networks = Annotated[tuple[Network, ...], NoDecode, BeforeValidator(_parts)]


class ChannelsSettings(ServiceSettings):
    """The settings of channels; a marketplace is on when its app is named."""

    model_config = SettingsConfigDict(env_prefix="CHANNELS_")

    http_port: int
    """The port that HTTP is answered on, webhooks included"""

    inbox_key: Annotated[Secrets, Field(min_length=1)]
    """The keys that raw messages and tokens are sealed under, each 32 bytes in base64, comma separated:
    the first seals, all of them open"""

    key_encryption_keys: NamedKeys
    """The key-encryption keys, the same for orders and channels, each `id:` and 32 bytes in base64, comma
    separated: the first seals what topics say of buyers and wraps keys, all of them open"""

    lazada_app_key: str = ""
    """The key of the Lazada app; empty: no Lazada"""

    lazada_app_secrets: Secrets = ()
    """The live secrets of the Lazada app, comma separated: the first signs calls, all verify pushes"""

    lazada_base_url: str = ""
    """Where Lazada's API is, with /rest; empty: the official address of each site"""

    tokopedia_fs_id: str = ""
    """The fs_id of the Tokopedia app; empty: no Tokopedia"""

    tokopedia_client_id: str = ""
    """The client id of the Tokopedia app"""

    tokopedia_client_secret: SecretStr = SecretStr("")
    """The client secret of the Tokopedia app"""

    tokopedia_base_url: str = "https://fs.tokopedia.net"
    """Where Tokopedia's API is"""

    tokopedia_accounts_url: str = "https://accounts.tokopedia.com"
    """Where Tokopedia gives tokens"""

    tokopedia_path_token: SecretStr = SecretStr("")
    """The part of the webhook path that nobody guesses, since Tokopedia signs nothing"""

    tokopedia_allowed_addresses: Networks = ()
    """The addresses or networks that Tokopedia's notices may come from, comma separated"""

    poll_seconds: Annotated[float, Field(gt=0)] = 900.0
    """How often each shop's list is read for what the pushes missed"""

    @field_validator("inbox_key")
    @classmethod
    def _are_keys(cls, value: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        for each in value:
            _key_bytes(each)
        return value

    @model_validator(mode="after")
    def _are_complete(self) -> Self:
        if self.lazada_app_key and not self.lazada_app_secrets:
            raise ValueError("has CHANNELS_LAZADA_APP_KEY without CHANNELS_LAZADA_APP_SECRETS")
        if len(self.lazada_app_secrets) > 2:  # IN-02: two live secrets.
            raise ValueError("has more than two CHANNELS_LAZADA_APP_SECRETS")
        if self.tokopedia_fs_id:
            # 128 bits in hexadecimal; a shorter token could be guessed.
            if len(self.tokopedia_path_token.get_secret_value()) < KEY_BYTES:
                raise ValueError("has a CHANNELS_TOKOPEDIA_PATH_TOKEN of less than 32 characters")
            if not (self.tokopedia_client_id and self.tokopedia_client_secret.get_secret_value()):
                raise ValueError("has CHANNELS_TOKOPEDIA_FS_ID without the client's id or secret")
        return self

    def inbox_keys(self) -> list[bytes]:
        """The keys in bytes, the sealing one first."""
        return [_key_bytes(each) for each in self.inbox_key]


def _key_bytes(value: SecretStr) -> bytes:
    try:
        key = base64.b64decode(value.get_secret_value(), validate=True)
    except binascii.Error:
        raise ValueError("holds a key that is not base64") from None
    if len(key) != KEY_BYTES:
        raise ValueError("holds a key that is not 32 bytes")
    return key
