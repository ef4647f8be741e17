"""An endpoint that speaks OpenAI's chat API over local models."""
