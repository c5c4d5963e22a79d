"""The Tokopedia Open API (fs.tokopedia.net): payloads, and what they state as facts."""
