"""What inventory reads from its environment; built in __main__ only."""

from pydantic_settings import SettingsConfigDict

from libs.runtime.settings import FollowerSettings


class InventorySettings(FollowerSettings):
    """The settings of inventory: those of every follower."""

    model_config = SettingsConfigDict(env_prefix="INVENTORY_")
