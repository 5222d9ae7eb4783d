"""The report: one self-contained page."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import pictures
import torch
from findings import Clips, Findings, Wines
from lanes import Made
from matplotlib.figure import Figure, FigureBase
from rich.table import Table

import autoregress as ar
from autoregress.report import Rows, animation, page, paragraph
from autoregress.report import picture as picture_of
from autoregress.report import table_of as table

# The figures, for both the terminal and the page: a header, and rows. A row of a single cell is the
# heading of the rows below it.


def likelihood_rows(findings: Sequence[Findings]) -> Rows:
    rows: list[Sequence[str]] = [("", "nats per digit", "bits/dim")]
    for found in findings:
        rows.append((found.title,))
        for name, score in found.scores.items():
            error = score.standard_error
            rows.append(
                (
                    name,
                    pair(score.nats, error, 2),
                    pair(score.bits_per_dim, error * score.bits_per_dim / score.nats, 4),
                )
            )
    return rows


def completion_rows(findings: Sequence[Findings]) -> Rows:
    rows: list[Sequence[str]] = [("hidden", "−log p(hidden)", "−log p(hidden | known)")]
    for found in findings:
        rows.append((found.title,))
        rows += [(h.name, f"{h.alone:.2f}", f"{h.given:.2f}") for h in found.hidden]
    return rows


def family_rows(findings: Sequence[Findings]) -> Rows:
    header = ("", "parameters", "seconds", "nats per digit", "lower half given the upper")
    rows: list[Sequence[str]] = [header]
    for found in findings:
        for other in found.others:
            rows.append(
                (
                    other.name,
                    f"{other.parameters:,}",
                    f"{other.fit.seconds:.0f}",
                    pair(other.score.nats, other.score.standard_error, 2),
                    f"{other.given:.2f}",
                )
            )
    return rows


def clip_rows(clips: Clips) -> Rows:
    ours = clips.bits["Video Transformer"]
    rows: list[Sequence[str]] = [("bouncing digits", "bits/dim", "times ours")]
    return rows + [(name, f"{b:.4f}", f"{b / ours:.2f}") for name, b in clips.bits.items()]


def gap_rows(wines: Wines) -> Rows:
    rows: list[Sequence[str]] = [("column", "removed", "error", "without a model", "ratio")]
    for gap in wines.gaps:
        ratio = gap.model / gap.alone if gap.alone else math.nan
        figures = (f"{gap.model:.3g}", f"{gap.alone:.3g}", f"{ratio:.2f}")
        rows.append((gap.column, str(gap.count), *figures))
    return rows


def question_rows(wines: Wines) -> Rows:
    return [("question | what is known", "probability"), *wines.questions.items()]


def odd_rows(wines: Wines) -> Rows:
    header = ("column", "as recorded", "changed", "p-value", "likeliest")
    rows: list[Sequence[str]] = [header]
    for i, name in enumerate(wines.names):
        marked = wines.odd[i] if name == wines.changed else ""
        rows.append((name, wines.true[i], marked, f"{wines.p_values[i]:.2g}", wines.expected[i]))
    return rows


def time_rows(made: Mapping[str, Made]) -> Rows:
    """The processor seconds of each part, and of each of the processes side by side."""
    rows: list[Sequence[str]] = [("made", "CPU seconds")]
    rows += [(name, f"{part.cpu_seconds:.0f}") for name, part in made.items()]
    lanes: dict[int, float] = {}
    for part in made.values():
        lanes[part.lane] = lanes.get(part.lane, 0.0) + part.cpu_seconds
    return [*rows, ("the longer of two processes", f"{max(lanes.values()):.0f}")]


def surprise_rows(findings: Sequence[Findings]) -> Rows:
    rows: list[Sequence[str]] = [("log p", *(case.name for case in findings[0].cases[0]))]
    for found in findings:
        rows.append((found.title,))
        for number, cases in enumerate(found.cases, 1):
            rows.append((f"digit {number}", *(f"{case.log_p:.1f}" for case in cases)))
    return rows


def pair(value: float, error: float, digits: int) -> str:
    """A figure with its standard error, which the size of a file does not have."""
    return f"{value:.{digits}f}" + ("" if math.isnan(error) else f" ± {error:.{digits}f}")


TABLES = {
    "Held-out likelihood ± standard error": likelihood_rows,
    "Nats of a hidden part of a test digit": completion_rows,
    "Models in raster order, of 17 levels of grey": family_rows,
    "log p in nats": surprise_rows,
}


WINE_TABLES = {
    "Removed cells of a table, filled in": gap_rows,
    "Questions to a table": question_rows,
}


def terminal(title: str, rows: Rows) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    for i, column in enumerate(rows[0]):
        table.add_column(column, justify="right" if i else "left", no_wrap=i == 0)
    for row in rows[1:]:
        if len(row) == 1:
            table.add_section()
        table.add_row(*row, style="bold" if len(row) == 1 else None)
    return table


# The sections of the page: the body of each


def likelihood(findings: Sequence[Findings]) -> str:
    saved = [
        f"{1 - min(s.nats for s in found.scores.values()) / found.scores['xz'].nats:.0%} "
        f"({found.title.lower()}, packed as {found.packing})"
        for found in findings
    ]
    return (
        paragraph(
            "Nats of a digit that the model never saw: −log p, averaged over the "
            f"{len(findings[0].test)} test digits, with the standard error of that mean. Lower is "
            "better, and nothing here is a bound or an estimate. A mixture of orderings is the "
            "mean of their probabilities, which is again a distribution. The file was written by "
            "<code>ar.encode</code> for all test digits, and <code>ar.decode</code> gave them back."
        )
        + table(likelihood_rows(findings))
        + paragraph(
            "There are two baselines. <em>Independent pixels</em> knows the frequencies of the "
            "levels of each pixel in the training digits. <em>xz</em> is the size of all test "
            "digits compressed by LZMA2, at its strongest setting and without the container; it is "
            "given the whole test set at once, so it learns from the test digits, and from nothing "
            f"else. The best model needs fewer bits than xz by {' and '.join(saved)}."
        )
    )


def training(findings: Sequence[Findings]) -> str:
    return paragraph(
        "The 1,797 digits are split once: 1,197 for training, 300 for validation, 300 for the "
        "test. Every update uses a fresh random ordering of the 64 pixels, so that in the end any "
        "pixels can be the known ones. The weights are those of the epoch with the best "
        "validation nats."
    ) + picture(
        partial(pictures.training_curves, findings=findings),
        "Nats per digit after each epoch. Training is measured with dropout, validation "
        "without it and with averaged weights, so it may be lower.",
        height=3.2,
    )


def samples(findings: Sequence[Findings]) -> str:
    return paragraph(
        "Digits drawn from the model, one pixel after the other, beside real ones. They are the "
        "first draws, not selected, and without temperature or other filters."
    ) + each(findings, pictures.samples, "Left, test digits. Right, samples.", height=3.9)


def completions(findings: Sequence[Findings]) -> str:
    return (
        paragraph(
            "Half of a digit is hidden, and the model draws it from p(hidden | known), exactly: "
            "the known pixels simply come first in the ordering. Five independent draws of each "
            "show the range of what the model finds possible."
        )
        + each(
            findings,
            pictures.completions,
            "The first ten test digits, by their hidden part. Light blue is hidden, dark blue was "
            "drawn.",
            height=4.3,
        )
        + paragraph(
            "Mean nats of the hidden half of a test digit, by itself and given the other half. "
            "Both are exact for a mixture of eight orderings. The difference is what the model "
            "learns from the other half. If there is none, or the second figure is even larger, "
            "the model has not learned to use that half: random orderings, as in training, hardly "
            "ever begin with a whole side."
        )
        + table(completion_rows(findings))
    )


def families(findings: Sequence[Findings]) -> str:
    return (
        paragraph(
            "Convolutions and LSTMs that visit an image row by row have the structure of a picture "
            "built in: neighbours matter, and a stroke is a stroke wherever it lies. With one "
            "fixed order, they complete what comes last in it, such as the lower half, and refuse "
            "anything else."
        )
        + table(family_rows(findings))
        + "".join(
            picture(
                partial(pictures.families, found=found),
                f"{found.title}. Above, samples; below, the first test digits with a lower half "
                "that was drawn given the upper.",
                height=4.6,
            )
            for found in findings
            if found.others
        )
    )


def surprises(findings: Sequence[Findings]) -> str:
    return (
        paragraph(
            "Which pixel does not belong? The digits on the left are among those that surprise "
            "the model least. Beside them are changed versions: three pixels inverted, two rows "
            "erased, all pixels moved right by one, the digit turned upside down. Below each are "
            "two maps. <em>Share</em> shows how −log p spreads over the pixels: each is judged by "
            "those before it in the ordering, averaged over orderings, and the sum is −log p. "
            "<em>Given the rest</em> judges each pixel by all 63 others, another exact "
            "conditional (of a mixture of eight orderings): there the changed pixels light up "
            "most."
        )
        + each(
            findings,
            pictures.surprises,
            "Changed pixels are framed in red; the brightest hundredth of all pixels is clipped. "
            "A digit moved or turned as a whole surprises wherever it no longer fits.",
            height=10,
        )
        + paragraph("log p of each, in nats; closer to 0 is more probable:")
        + table(surprise_rows(findings))
    )


def moving(clips: Clips) -> str:
    ours = clips.bits["Video Transformer"]
    least = min(bits for name, bits in clips.bits.items() if name != "Video Transformer")
    caption = (
        "Above, six held-out clips; below, the model's continuations of their first four frames "
        "(blue). It draws four frames at a time, exactly from p(next | last four)."
    )
    return (
        paragraph(
            f"A Video Transformer of {clips.parameters:,} parameters learned in "
            f"{clips.fit.seconds:.0f} seconds how a digit bounces about a square, from clips of 8 "
            "frames of 16 × 16 bits, made of training digits. The 200 held-out clips are made of "
            "test digits. The compressors below code the same clips without loss, each at its best "
            f"settings; the best of them, which may look for repetitions in all clips at once, "
            f"needs {least / ours:.1f} times the bits of the model."
        )
        + table(clip_rows(clips))
        + animation(clips.animation, caption)
        + picture(
            partial(pictures.frames, found=clips),
            "Where clips surprise. The first frame has to tell which digit it is, and where; the "
            "second, where it is going; after that little is left to tell.",
            height=4.2,
        )
    )


def wines(wines: Wines) -> str:
    return (
        paragraph(
            f"Chemists measured {wines.rows} wines of three cultivars. Of their {wines.rows} × "
            f"{wines.columns} cells {wines.removed} were removed at random, and "
            "<code>ar.Table</code> learned the rest, gaps and all: a MADE of any ordering, whose "
            "numbers start from the distribution of their column exactly. "
            f"{wines.summary[:1].upper()}{wines.summary[1:]}."
        )
        + paragraph(
            "The removed cells, filled in with the expected number, or the likeliest label, given "
            "what is known of the wine. Errors are root mean squares, for the cultivar the share "
            "of wrong labels; <em>without a model</em> is the mean, or the most frequent label, "
            "of the column."
        )
        + table(gap_rows(wines))
        + paragraph("Questions, each answered by the model's own probability:")
        + table(question_rows(wines))
        + paragraph(
            f"One cell in each of {wines.planted} wines that the model never saw was exchanged "
            "for that of another wine, which is often just as fitting. <code>explain</code> gives "
            "each cell the probability of one at least as unlikely, given the rest of the row, and "
            f"blames the least of these p-values. It is that of the changed cell in {wines.found} "
            f"wines; a guess would be right in {wines.planted / wines.columns:.1f}. The clearest:"
        )
        + table(odd_rows(wines))
    )


Section = Callable[[Sequence[Findings]], str]

SECTIONS: dict[str, Section] = {
    "Likelihood": likelihood,
    "Training": training,
    "Samples": samples,
    "Completions": completions,
    "Models in raster order": families,
    "Surprise": surprises,
}


# The page


def write(
    folder: Path,
    bodies: Mapping[str, str],
    made: Mapping[str, Made],
    *,
    command: str,
    seed: int,
    seconds: float,
) -> Path:
    """Writes the page of these sections, by their headings; returns its path."""
    how = paragraph(
        f"autoregress {ar.__version__}, torch {torch.__version__} in two processes of one thread "
        f"on {os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, "
        f"seed {seed}. Everything, training included, took {seconds:.0f} seconds. "
        f"<code>{command}</code> builds this page again."
    ) + table(time_rows(made))
    bodies = {**bodies, "How this was made": how}
    folder.mkdir(parents=True, exist_ok=True)
    path = (folder / "report.html").resolve()
    path.write_text(page(TITLE, LEAD, bodies), encoding="utf-8")
    return path


TITLE = "Handwritten digits, one pixel at a time"
LEAD = """<p class="lead">Two MADEs learned scikit-learn's 8 × 8 digits, one in black and white and
one in 17 levels of grey; four models in raster order learned the grey ones. All numbers of these
models are logarithms of normalised probabilities, from which the rest follows: the nats of a new
digit, samples, completions, and the pixel that does not belong. Finally, digits move, and a table
of wines gets its gaps filled.</p>"""


def each(
    findings: Sequence[Findings],
    draw: Callable[..., None],
    caption: str,
    height: float,
) -> str:
    """A picture of each of the findings."""
    return "".join(
        picture(partial(draw, found=found), f"{found.title}. {caption}", height)
        for found in findings
    )


def picture(draw: Callable[[FigureBase], None], caption: str, height: float) -> str:
    figure = Figure((9, height), layout="constrained")
    draw(figure)
    return picture_of(figure, caption)
