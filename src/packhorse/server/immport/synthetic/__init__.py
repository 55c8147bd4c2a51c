"""Invented studies, whole: every table that a query reads has rows. The demo and the tests' packages are made of them.

Nothing here is anybody's data. Terms of vocabularies are plain words; numbers come from a seed.
"""

from packhorse.server.immport.synthetic.build import Tables, make_study
from packhorse.server.immport.synthetic.plan import StudyPlan
from packhorse.server.immport.synthetic.vocabularies import vocabularies

__all__ = ["StudyPlan", "Tables", "make_study", "vocabularies"]
