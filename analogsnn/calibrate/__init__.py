"""From a process to a card, from a circuit to a model, from measurements to parameters; each with its errors."""

from ._card import ExtractedCard as ExtractedCard
from ._card import Grid as Grid
from ._card import extract_card as extract_card
from ._card_page import write_card_page as write_card_page
