"""LoRAs and textual inversions of a pipeline under diffusers' names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from .errors import LoraError
from .models.pair import Models


class Adapters:
    """Models whose LoRAs have names, and come and go. Their weights are merged at once: nothing is to be fused."""

    def __init__(self, models: Models) -> None:
        self.models = models
        self._paths: dict[str, Path] = {}
        """Of all LoRAs that are loaded, by their names."""
        self._weights: dict[str, float] = {}
        """Of those that are set."""
        self._enabled = True

    def load_lora_weights(
        self, path: str | Path, weight_name: str | None = None, adapter_name: str | None = None
    ) -> None:
        """Add a LoRA at weight 1 to the active ones: a file, or a folder with `weight_name` or diffusers' file in it.

        adapter_name: for `set_adapters`; by default `default_0`, `default_1` …
        Raises LoraError if the name is taken or the file does not fit.
        """
        name = f"default_{len(self._paths)}" if adapter_name is None else adapter_name
        if name in self._paths:
            raise LoraError(f"There is an adapter {name} already; choose another adapter_name.")
        file = Path(path) if weight_name is None else Path(path) / weight_name
        self._use({**self._paths, name: file}, {**self._weights, name: 1.0}, self._enabled)

    def set_adapters(
        self, adapter_names: str | Sequence[str], adapter_weights: float | Sequence[float] | None = None
    ) -> None:
        """Use exactly these of the loaded LoRAs, at these weights: one for all, or one each; 1 by default.

        Raises LoraError for a name that is not loaded, or for as many weights as do not fit.
        """
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        given = 1.0 if adapter_weights is None else adapter_weights
        weights = [float(given)] * len(names) if isinstance(given, (int, float)) else list(given)
        if len(weights) != len(names):
            raise LoraError(f"There are {len(names)} adapters and {len(weights)} weights; give one weight each.")
        self._check(names)
        self._use(self._paths, dict(zip(names, weights, strict=True)), self._enabled)

    def delete_adapters(self, adapter_names: str | Sequence[str]) -> None:
        """Forget these LoRAs. Raises LoraError for a name that is not loaded."""
        names = [adapter_names] if isinstance(adapter_names, str) else list(adapter_names)
        self._check(names)
        kept = {name: path for name, path in self._paths.items() if name not in names}
        self._use(kept, {name: weight for name, weight in self._weights.items() if name in kept}, self._enabled)

    def unload_lora_weights(self) -> None:
        """Take all LoRAs away."""
        self._use({}, {}, True)

    def disable_lora(self) -> None:
        """Make clips without LoRAs, until `enable_lora`."""
        self._use(self._paths, self._weights, False)

    def enable_lora(self) -> None:
        """Make clips with the active LoRAs again."""
        self._use(self._paths, self._weights, True)

    def get_active_adapters(self) -> list[str]:
        """Names of the LoRAs that are set, whether or not LoRAs are enabled."""
        return list(self._weights)

    def get_list_adapters(self) -> dict[str, list[str]]:
        """Names of all loaded LoRAs by the component that they change. A LoRA may change both."""
        names = list(self._paths)
        return {"text_encoder": names, "unet": list(names)} if names else {}

    def load_textual_inversion(self, pretrained_model_name_or_path: str | Path | Sequence[str | Path]) -> None:
        """Add the words of one or more textual inversion files. They are called as their files say.

        Raises ModelError if a file is broken, does not fit, or has a word that is there already.
        """
        given = pretrained_model_name_or_path
        paths = [given] if isinstance(given, str | Path) else list(given)
        self.models = self.models.with_more_embeddings(map(Path, paths))

    def unload_textual_inversion(self) -> None:
        """Take all learned words away."""
        self.models = self.models.with_embeddings(())

    def _check(self, names: Sequence[str]) -> None:
        for name in names:
            if name not in self._paths:
                raise LoraError(f"There is no adapter {name}; choose of: {', '.join(self._paths) or 'none loaded'}.")

    def _use(self, paths: dict[str, Path], weights: dict[str, float], enabled: bool) -> None:
        """Change to these, or, if that raises, to none of it."""
        active = [(paths[name], weight) for name, weight in weights.items()] if enabled else []
        self.models = self.models.with_loras(active)
        self._paths, self._weights, self._enabled = paths, weights, enabled
