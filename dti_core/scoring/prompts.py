"""What is asked of a subject or style: 41 prompts for objects, 41 for cats and dogs, 40 for styles.

Data, not ours: DreamBooth's prompts (Ruiz et al. 2023, in its data set's prompts_and_classes.txt) and those that the
authors of DTI add, as their evaluation has them (the sets "simple" and "style" of src/dti/metrics/prompts.py,
kunheek/dti@96a77a3). Their paper speaks of 40. For cats and dogs two of DreamBooth's 25 are missing there.
"""

from __future__ import annotations

from collections.abc import Sequence

OBJECT_DREAMBOOTH = (
    "a {} in the jungle",
    "a {} in the snow",
    "a {} on the beach",
    "a {} on a cobblestone street",
    "a {} on top of pink fabric",
    "a {} on top of a wooden floor",
    "a {} with a city in the background",
    "a {} with a mountain in the background",
    "a {} with a blue house in the background",
    "a {} on top of a purple rug in a forest",
    "a {} with a wheat field in the background",
    "a {} with a tree and autumn leaves in the background",
    "a {} with the Eiffel Tower in the background",
    "a {} floating on top of water",
    "a {} floating in an ocean of milk",
    "a {} on top of green grass with sunflowers around it",
    "a {} on top of a mirror",
    "a {} on top of the sidewalk in a crowded street",
    "a {} on top of a dirt road",
    "a {} on top of a white rug",
    "a red {}",
    "a purple {}",
    "a shiny {}",
    "a wet {}",
    "a cube shaped {}",
)
OBJECT_ADDED = (
    "A {} with Japanese modern city street in the background",
    "A {} with a landscape from the Moon",
    "A {} among the skyscrapers in New York city",
    "A {} with a beautiful sunset",
    "A {} in a movie theater",
    "A {} in a luxurious interior living room",
    "A {} in a dream of a distant galaxy",
    "A photo of {} with ribbons",
    "A photo of golden {}",
    "A photo of {} made out of leathers",
    "A {} in a dense fog",
    "A {} under a starry night sky",
    "A {} beside a rushing waterfall",
    "A {} in a field of wildflowers",
    "A {} with a futuristic cityscape in the background",
    "A {} near the pyramids of Egypt",
)
LIVING_DREAMBOOTH = (
    "a {} in the jungle",
    "a {} in the snow",
    "a {} on the beach",
    "a {} on a cobblestone street",
    "a {} on top of pink fabric",
    "a {} on top of a wooden floor",
    "a {} with a city in the background",
    "a {} with a mountain in the background",
    "a {} with a blue house in the background",
    "a {} on top of a purple rug in a forest",
    "a {} wearing a red hat",
    "a {} wearing a santa hat",
    "a {} wearing a rainbow scarf",
    "a {} wearing a black top hat and a monocle",
    "a {} in a chef outfit",
    "a {} in a police outfit",
    "a {} wearing pink glasses",
    "a {} wearing a yellow shirt",
    "a {} in a purple wizard outfit",
    "a red {}",
    "a purple {}",
    "a wet {}",
    "a cube shaped {}",
)
LIVING_ADDED = (
    "a {} with Japanese modern city street in the background",
    "a {} with a landscape from the Moon",
    "a {} among the skyscrapers in New York city",
    "a {} with a beautiful sunset",
    "a {} in a movie theater",
    "a {} in a luxurious interior living room",
    "a {} in a dream of a distant galaxy",
    "a {} wearing a spacesuit, planting a flag on the moon",
    "a {} as a firefighter, extinguishing a fire in a skyscraper",
    "a {} in a wetsuit, surfing a giant wave in the ocean",
    "a {} in Victorian attire, attending a tea party in an elegant garden",
    "a {} in a snowsuit, skiing down a steep mountain",
    "a {} as an explorer, navigating through an icy Arctic landscape",
    "a {} in an elegant masquerade mask at a Venetian ball",
    "a {} gazing out over a misty mountain range",
    "a {} standing proudly in a field of sunflowers",
    "a {} exploring a vibrant coral reef underwater",
    "a {} relaxing in a hammock under palm trees at sunset",
)
# Each "in {} style".
STYLE_THINGS = (
    "A toothbrush", "A water bottle", "A kitchen sink", "A laptop charger", "A coffee mug", "A computer", "A dog",
    "A light bulb", "A cat", "A hairbrush", "A desk lamp", "A garden hose", "A microwave oven", "A floor lamp",
    "A shower curtain", "A salt shaker", "A ceiling fan", "A electric kettle", "A grocery bag", "A laundry basket",
    "A remote control", "A houseplant", "An orange", "A chocolate cake", "A refrigerator", "A sofa", "An elephant",
    "A door knob", "A backpack", "A penguin", "A bathrobe", "A cereal bowl", "A wall clock", "A swimmer",
    "A tablecloth", "A light switch", "A cloud", "A flower vase", "A teddy bear", "A horse",
)  # fmt: skip
PRESETS = {
    "object": OBJECT_DREAMBOOTH + OBJECT_ADDED,
    "living thing": LIVING_DREAMBOOTH + LIVING_ADDED,
    "style": tuple(f"{thing} in {{}} style" for thing in STYLE_THINGS),
}
# The authors' rule for what is alive.
LIVING_WORDS = frozenset({"cat", "dog"})


def prompts_for(word: str, count: int = 0) -> tuple[str, ...]:
    """The prompts for a subject of this class, or the first `count` of them; `{}` stands for the subject."""
    prompts = PRESETS["living thing" if word in LIVING_WORDS else "object"]
    return prompts[:count] if count else prompts


def judged_text(prompt: str, word: str) -> str:
    """What an image is compared with: the prompt with the class word and a full stop, as the authors write it."""
    return prompt.replace("{}", word) + "."


def spread_prompts(prompts: Sequence[str], count: int) -> tuple[str, ...]:
    """`count` of the prompts, evenly from all over, since like stands beside like; all of them for 0."""
    if count <= 0 or count >= len(prompts):
        return tuple(prompts)
    return tuple(prompts[number * len(prompts) // count] for number in range(count))
