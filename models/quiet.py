"""Keeps libraries that load models from drawing their own progress bars over ours."""


def quiet_transformers() -> None:
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
