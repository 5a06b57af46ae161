from contracts.shared_models import models

__all__ = ["models"]
