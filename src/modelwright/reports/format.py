"""Numbers, times and sizes as text.

One rule for all: four significant digits, digits before the point are never dropped, "–" where there is no value.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from modelwright.metrics.estimate import Interval

#: Shown where a value does not exist or is not finite.
NOTHING = "–"

#: JSON has no infinity, so records hold the largest float where an interval has no end.
_ENDLESS = 1e300

#: Words of metric names that are not written as plain lower-case words.
_ACRONYMS = {
    "auc": "AUC", "roc": "ROC", "pr": "PR", "rmse": "RMSE", "mae": "MAE", "mse": "MSE", "rmsle": "RMSLE", "msle": "MSLE",
    "mape": "MAPE", "smape": "SMAPE", "r2": "R²", "f1": "F1", "ece": "ECE", "mcc": "MCC", "qwk": "QWK",
    "ovr": "OvR", "ovo": "OvO", "brier": "Brier",
}  # fmt: skip


def is_number(value: object) -> bool:
    """Whether the value is a finite number (booleans are not)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _ENDLESS


def decimals_for(values: Iterable[float | None], digits: int = 4) -> int:
    """Decimal places that show the largest of the values with ``digits`` significant digits.

    A column of a table shares them, so that its decimal points stand below each other.

    Examples
    --------
    >>> decimals_for([0.8456, 0.0712])
    4
    >>> decimals_for([1234.5])
    0
    """
    largest = max((abs(v) for v in values if v is not None and is_number(v)), default=0.0)
    if largest == 0:
        return digits
    return max(0, min(12, digits - 1 - math.floor(math.log10(largest))))


def fixed(value: float | None, decimals: int) -> str:
    """The value with a fixed number of decimals and a thousands comma."""
    if value is None or not is_number(value):
        return _missing(value)
    text = f"{value:,.{decimals}f}"
    return text.replace("-", "−") if float(text.replace(",", "")) != 0 else text.lstrip("-")


def number(value: float | None, digits: int = 4) -> str:
    """The value with four significant digits.

    Examples
    --------
    >>> number(0.84561), number(12345.6), number(3), number(None), number(1.5e-07)
    ('0.8456', '12,346', '3', '–', '1.500e-07')
    """
    if value is None or not is_number(value):
        return _missing(value)
    if isinstance(value, int):
        return count(value)
    if value != 0 and (abs(value) < 1e-4 or abs(value) >= 1e9):
        return f"{value:.{digits - 1}e}".replace("-", "−", 1) if value < 0 else f"{value:.{digits - 1}e}"
    return fixed(value, decimals_for([value], digits)) if value else "0"


def _missing(value: float | None) -> str:
    """No value, or an end that does not exist."""
    if value is None or not math.isfinite(value):
        return NOTHING
    return "∞" if value > 0 else "−∞"


def count(value: float | None) -> str:
    """A whole number with a thousands comma."""
    return NOTHING if value is None or not is_number(value) else f"{value:,.0f}".replace("-", "−")


def percent(share: float | None) -> str:
    """A share in [0, 1] as a percentage.

    Examples
    --------
    >>> percent(0.7345), percent(0.0042), percent(1.0)
    ('73.5 %', '0.42 %', '100 %')
    """
    if share is None or not is_number(share):
        return NOTHING
    value = 100 * share
    decimals = 0 if value in (0, 100) else 2 if abs(value) < 1 else 1
    return f"{fixed(value, decimals)} %"


def duration(seconds: float | None) -> str:
    """A time span in the unit that suits it.

    Examples
    --------
    >>> duration(0.0000123), duration(0.5), duration(12.34), duration(200), duration(4000)
    ('12.3 µs', '500 ms', '12.3 s', '3 min 20 s', '1 h 07 min')
    >>> duration(60), duration(7200)
    ('1 min', '2 h')
    """
    if seconds is None or not is_number(seconds):
        return NOTHING
    for factor, unit in ((1e6, "µs"), (1e3, "ms")):
        if 0 < seconds < 1000 / factor * 0.9995:
            value = seconds * factor
            return f"{value:.0f} {unit}" if value >= 99.95 else f"{value:.1f} {unit}"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if round(seconds) < 3600:
        return _two_units(round(seconds), "min", "s")
    return _two_units(round(seconds / 60), "h", "min")


def _two_units(amount: int, large: str, small: str) -> str:
    """Sixtieths as two units, the small one left out where it is zero."""
    whole, rest = divmod(amount, 60)
    return f"{whole:,} {large} {rest:02d} {small}" if rest else f"{whole:,} {large}"


def size(n_bytes: float | None) -> str:
    """A size in decimal units.

    Examples
    --------
    >>> size(812), size(48_200), size(1_234_567)
    ('812 B', '48.2 kB', '1.2 MB')
    """
    if n_bytes is None or not is_number(n_bytes):
        return NOTHING
    value, unit = float(n_bytes), "B"
    for bigger in ("kB", "MB", "GB", "TB"):
        if value < 999.95:
            break
        value, unit = value / 1000, bigger
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"


def metric_title(name: str) -> str:
    """The name of a metric as it is written in running text.

    Examples
    --------
    >>> metric_title("roc_auc"), metric_title("log_loss"), metric_title("rmse")
    ('ROC AUC', 'log loss', 'RMSE')
    """
    return " ".join(_ACRONYMS.get(word, word) for word in name.replace("-", "_").split("_"))


def words(name: str) -> str:
    """A key as words, without its unit.

    Examples
    --------
    >>> words("fit_s"), words("peak_memory_mb"), words("n_rows")
    ('fit', 'peak memory', 'rows')
    """
    name = {"cpu": "CPU", "cpus": "CPUs"}.get(name, name)
    for unit in ("_us_per_row", "_bytes", "_mb", "_gb", "_ms", "_s"):
        name = name.removesuffix(unit)
    return name.removeprefix("n_").replace("_", " ").strip()


def quantity(name: str, value: object) -> str:
    """A value as text, its unit taken from the end of its name.

    Examples
    --------
    >>> quantity("size_bytes", 2000), quantity("fit_s", 0.25), quantity("rate", 0.05), quantity("classes", ["a", "b"])
    ('2.0 kB', '250 ms', '0.05', 'a, b')
    """
    if value is None or value == "":
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return _measured(name, value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {quantity(str(key), item)}" for key, item in value.items()) or "none"
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(quantity("", item) for item in value) or "none"
    return str(value)


def _measured(name: str, value: float) -> str:
    """A number with the unit that its name ends in."""
    if name.endswith("_bytes"):
        return size(value)
    if name.endswith(("_mb", "_gb")):
        return size(value * (1e6 if name.endswith("_mb") else 1e9))
    if name.endswith("_us_per_row"):
        return f"{duration(value / 1e6)} per row"
    if name.endswith("_ms"):
        return duration(value / 1e3)
    if name.endswith("_s"):
        return duration(value)
    if name.endswith("share") and 0 <= value <= 1:
        return percent(value)
    if "seed" in name:
        return str(value)
    text = number(value)
    # A setting of 0.05 was given as such: trailing zeros would claim a precision that nobody meant.
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def pairs(mapping: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The items of a mapping as text, nested mappings unfolded as "outer / inner"."""
    rows: list[tuple[str, str]] = []
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            rows += [(f"{words(str(key))} / {inner}", text) for inner, text in pairs(value)]
        else:
            rows.append((words(str(key)), quantity(str(key), value)))
    return rows


def shortened(text: str, limit: int) -> str:
    """The text, cut with an ellipsis where it is longer than ``limit``."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def ranged(interval: Interval | None, decimals: int | None = None) -> str:
    """Both ends of an interval.

    Examples
    --------
    >>> ranged(Interval(0.8463, 0.825, 0.8676)), ranged(None)
    ('0.8250 to 0.8676', '–')
    """
    if interval is None:
        return NOTHING
    if decimals is None:
        decimals = decimals_for([interval.value, max(abs(interval.low), abs(interval.high))])
    return f"{fixed(interval.low, decimals)} to {fixed(interval.high, decimals)}"


def estimated(interval: Interval | None) -> str:
    """An estimate with its interval, in the same decimals.

    Examples
    --------
    >>> estimated(Interval(0.8463, 0.825, 0.8676)), estimated(None)
    ('0.8463 (0.8250 to 0.8676)', '–')
    """
    if interval is None:
        return NOTHING
    decimals = decimals_for([interval.value, max(abs(interval.low), abs(interval.high))])
    return f"{fixed(interval.value, decimals)} ({ranged(interval, decimals)})"


def estimated_share(interval: Interval | None) -> str:
    """A share with its interval, as percentages.

    Examples
    --------
    >>> estimated_share(Interval(0.894, 0.8802, 0.9))
    '89.4 % (88.0 % to 90.0 %)'
    """
    if interval is None:
        return NOTHING
    return f"{percent(interval.value)} ({percent(interval.low)} to {percent(interval.high)})"


def p_value(p: float) -> str:
    """A p-value with two digits.

    Examples
    --------
    >>> p_value(0.0002), p_value(0.0421), p_value(1.0)
    ('< 0.001', '0.042', '1.0')
    """
    return "< 0.001" if p < 0.001 else f"{p:.2g}" if p < 0.95 else f"{p:.1f}"


def moment(text: str) -> str:
    """An ISO time to the minute; anything else as it is."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{time:%Y-%m-%d %H:%M} {time.tzname() or ''}".strip()
