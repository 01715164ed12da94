"""Reports of one screening: the page, and the pictures that it shows."""

from .html import render_html, write_html
from .pictures import LevelPicture, SagittalPicture, StudyPictures, sagittal_picture

__all__ = ["LevelPicture", "SagittalPicture", "StudyPictures", "render_html", "sagittal_picture", "write_html"]
