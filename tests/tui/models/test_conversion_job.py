"""A conversion beside the app: its last line is shown, its end is honest, stopping keeps its work."""

import asyncio
import sys
from collections.abc import Sequence

from magistral_mlx.miniature import checkpoint_directory
from magistral_mlx.storage.paths import models_directory
from magistral_mlx_tui.models.conversion_job import ConversionJob, JobState, convert_command, target_name


def says(code: str) -> ConversionJob:
    return ConversionJob(lambda: None, command=lambda _source: (sys.executable, "-c", code))


async def test_its_last_line_is_shown_and_made_harmless() -> None:
    job = says("import sys; sys.stderr.write('first\\nhalf\\r50 % \\x1b[2Jdone\\n'); sys.exit(1)")
    assert job.words == ""
    assert not await job.run("org/Some-Model")
    assert job.words == "Some-Model-4bit failed: 50 % ␛[2Jdone"


async def test_its_end_says_where_the_model_is_instead_of_a_command_line() -> None:
    job = says("import sys; sys.stderr.write('Done. Use it: magistral ask\\n')")
    assert await job.run("org/Some-Model")
    assert job.words == "Some-Model-4bit converted: F3 and Enter switch to it"


async def test_a_failure_says_why() -> None:
    job = says("import sys; sys.exit('magistral: There is no such folder. Check the path.')")
    assert not await job.run("nowhere")
    assert (job.state, job.line) == (JobState.FAILED, "magistral: There is no such folder. Check the path.")


async def test_a_program_that_is_not_there() -> None:
    job = ConversionJob(lambda: None, command=lambda _source: ("/no/such/program",))
    assert not await job.run("x")
    assert job.state is JobState.FAILED
    assert "No such file" in job.line


async def test_stopping_ends_the_process_and_says_that_it_can_go_on() -> None:
    started = asyncio.Event()
    code = "import sys, time; print('busy', file=sys.stderr, flush=True); time.sleep(100)"
    job = ConversionJob(started.set, command=lambda _source: (sys.executable, "-c", code))
    running = asyncio.create_task(job.run("x"))
    async with asyncio.timeout(60):
        while job.line != "busy":
            started.clear()
            await started.wait()
        job.stop()
        assert not await running
    assert job.state is JobState.STOPPED
    assert "start it again to resume" in job.words


async def test_a_real_conversion_becomes_an_installed_model() -> None:
    def command(source: str) -> Sequence[str]:
        return convert_command(source)

    job = ConversionJob(lambda: None, command=command)
    assert await job.run(str(checkpoint_directory())), job.words
    assert (models_directory() / "miniature-4bit" / "magistral-mlx.json").is_file()


def test_the_name_of_the_result_is_a_plain_one() -> None:
    assert target_name("mistralai/Magistral-Small-2509") == "Magistral-Small-2509-4bit"
    assert target_name("/tmp/../..") == "model-4bit"
    assert "/" not in target_name("a/b c\x1b/")
