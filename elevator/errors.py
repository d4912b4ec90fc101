"""Everything this library raises on purpose.

    ElevatorError
    ├── PlanError        a setting of the plan is impossible
    ├── RequestError     prompt, frames, size or seed cannot be sampled
    ├── ModelError       a folder is missing, broken, or does not fit the other one
    │   └── LoraError    a LoRA is missing, broken, or made for another model
    ├── NumericsError    a network's output is not finite
    └── OutOfMemory      the device has too little memory for the clip

Every message is one sentence, fit to be shown to a person, that says what to change.
This module imports nothing, so that a process without torch can catch these.
"""


class ElevatorError(Exception):
    """Base of all errors of this library."""


class PlanError(ElevatorError):
    """A setting of a `Plan` is impossible."""


class RequestError(ElevatorError):
    """A prompt, clip length, picture size or seed that the loaded models cannot sample."""


class ModelError(ElevatorError):
    """A model's folder is missing or broken, or two models do not fit each other."""


class LoraError(ModelError):
    """A LoRA is missing or broken, or fits no layer of the models."""


class NumericsError(ElevatorError):
    """A network gave numbers that are not finite; the message names the step."""


class OutOfMemory(ElevatorError):
    """The device has too little memory."""

    def __init__(self, phase: str) -> None:
        self.phase = phase
        """Of the work in which it was not enough."""
        super().__init__(
            f"The memory of the device was not enough while {phase}; choose fewer frames, a smaller size, to offload, "
            "or a plan with a chunk, window and tile."
        )
