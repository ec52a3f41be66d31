"""Exceptions, one class per error of the Rust library.

Every message reads ``<operation>: <what is wrong>, expected <x>, got <y>; <what to do>``. Classes
derive from `RingloomError` and from the built-in that fits, so both can be caught.
"""

from __future__ import annotations


class RingloomError(Exception):
    """Base of all exceptions of this package."""

    def __str__(self) -> str:
        # KeyError would print the quoted representation, OSError an errno.
        return str(self.args[0]) if self.args else ""


# Parameters.


class ParameterError(RingloomError, ValueError):
    """Parameters that do not make sense."""


class SecurityError(ParameterError):
    """Parameters below 128 bits of security."""


class ModulusError(ParameterError):
    """A modulus that is no usable prime."""


class NotEnoughPrimesError(ParameterError):
    """A prime search that ran out of candidates."""


class DegreeError(ParameterError):
    """A ring degree outside the supported range."""


class UnknownNameError(RingloomError, ValueError):
    """A name nobody knows, such as that of a parameter set or an activation."""


# Levels.


class LevelError(RingloomError, ValueError):
    """Base of errors about levels."""


class LevelExhaustedError(LevelError):
    """Too few levels left for a circuit."""


class LevelMismatchError(LevelError):
    """Operands of different levels; `align_levels` or `Tensor.align_to` bring them together."""


class PowerMismatchError(LevelError):
    """A product that has not been rescaled, or the other way round."""


# Identities.


class ParamsMismatchError(RingloomError, ValueError):
    """Objects made for other parameters."""


class KeyMismatchError(RingloomError, ValueError):
    """Objects made under another secret key."""


class KeyMissingError(RingloomError, KeyError):
    """An evaluation key that is not there."""


# Values.


class ShapeError(RingloomError, ValueError):
    """Sizes that do not fit."""


class TooManyValuesError(ShapeError):
    """More values than slots."""


class PackingError(ShapeError):
    """Encrypted arrays whose entries lie in other slots than the operation needs."""


class ValueRangeError(RingloomError, ValueError):
    """A value too large for the modulus."""


class MessageRangeError(ValueRangeError):
    """Integers beyond the message space of the parameters."""


class NotFiniteError(ValueRangeError):
    """A NaN or an infinity."""


# Models.


class PrecisionError(RingloomError, ValueError):
    """A program whose predicted error is above its limit."""


class ApproximationError(RingloomError, ValueError):
    """Base of errors about approximating functions by polynomials."""


class ActivationError(ApproximationError):
    """A Python activation that raised; the cause is its exception."""


class FunctionNotFiniteError(ApproximationError):
    """A function that is not finite on its range."""


class EmptyRangeError(ApproximationError):
    """A range that is empty, reversed or not finite."""


class DegreeTooHighError(ApproximationError):
    """A degree above the largest supported one."""


class NotReachableError(ApproximationError):
    """An approximation error that no allowed degree reaches."""


class CoefficientError(ApproximationError):
    """A coefficient that is not a number of usable size."""


class ConstantPolynomialError(ApproximationError):
    """A polynomial without a variable part."""


class PolynomialDepthError(ApproximationError, LevelError):
    """An input with fewer levels than a polynomial consumes."""


# Bytes and the system.


class SerializationError(RingloomError, ValueError):
    """Bytes that are not what they should be."""


class FileError(RingloomError, OSError):
    """A file that cannot be read or written."""


class CancelledError(RingloomError):
    """Work that a progress callable ended."""


class RandomnessError(RingloomError, OSError):
    """An operating system that gave no randomness."""


# Devices and rings.


class DeviceError(RingloomError, OSError):
    """Base of errors about devices."""


class UnknownDeviceError(DeviceError, ValueError):
    """A device name nobody knows."""


class DeviceUnavailableError(DeviceError):
    """An instruction set or capability this machine does not have."""


class UnsupportedCommandError(DeviceError):
    """A command the device does not implement although it must."""


class DeviceMemoryError(DeviceError, MemoryError):
    """An allocation that cannot be satisfied."""


class PlanMemoryError(RingloomError, MemoryError):
    """A plan that needs more memory than there is, refused before it starts."""


class SecretOnDeviceError(DeviceError):
    """Secret data on its way to a device other than the host's CPU."""


class DeviceFailedError(DeviceError):
    """A device that failed and stays failed."""


class ReplayWarning(RuntimeWarning):
    """A device that failed, whose work was replayed on the session's `fallback`."""


class RingOperandError(RingloomError, ValueError):
    """Base of errors about operands of ring commands."""


class RingShapeError(RingOperandError):
    """Ring operands whose shapes do not fit together."""


class DomainError(RingOperandError):
    """A ring operand in the wrong domain."""


class RingMismatchError(RingOperandError):
    """Buffers of different rings in one command."""


class AliasingError(RingOperandError):
    """A destination that is also a source."""


class PlanError(RingOperandError):
    """A plan or constant table that does not fit the operands."""


class LengthError(RingOperandError):
    """Host data of the wrong length."""


class NotReducedError(RingOperandError):
    """A host word that is not a residue."""
