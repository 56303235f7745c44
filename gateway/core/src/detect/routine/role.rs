//! What a sensor tells about a home's routine, by the words that installers call it by.

use serde::{Deserialize, Serialize};

/// What it means that a sensor of a home reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Somebody lies in bed.
    Bed,
    /// Somebody is in the bedroom.
    Bedroom,
    /// Somebody is in the bathroom or the toilet.
    Bathroom,
    /// Somebody takes or makes food.
    Food,
    /// Somebody is in the kitchen.
    Kitchen,
    /// Somebody sits.
    Seat,
    /// Somebody is in the living room.
    Living,
    /// Somebody comes or goes.
    Door,
    /// Somebody is somewhere else at home.
    Other,
}

const BED: &[&str] = &["bed", "mattress", "床"];
const FOOD: &[&str] = &[
    "fridge",
    "freezer",
    "microwave",
    "cooktop",
    "cooker",
    "stove",
    "oven",
    "hob",
    "toaster",
    "kettle",
    "cupboard",
    "pantry",
    "groceries",
    "dishwasher",
    "plates",
    "cups",
    "pans",
    "coffee",
    "冰箱",
    "微波炉",
    "灶",
    "电饭煲",
    "烤箱",
    "水壶",
    "碗柜",
    "橱柜",
];
const BATHROOM: &[&str] = &[
    "bath",
    "toilet",
    "wc",
    "shower",
    "basin",
    "flush",
    "washroom",
    "restroom",
    "lavatory",
    "卫生间",
    "浴室",
    "洗手间",
    "厕所",
    "马桶",
    "淋浴",
];
const SEAT: &[&str] = &["seat", "sofa", "couch", "chair", "armchair", "沙发", "椅"];
const LIVING: &[&str] = &["living", "lounge", "livingroom", "tv", "sitting", "dining", "客厅", "起居室", "餐厅"];
const ENTRANCE: &[&str] = &[
    "maindoor",
    "entrance",
    "entry",
    "frontdoor",
    "front",
    "outside",
    "exit",
    "backdoor",
    "大门",
    "入户",
    "前门",
    "后门",
    "玄关",
];
const BEDROOM: &[&str] = &["卧"];
const KITCHEN: &[&str] = &["kitchen", "厨房", "后厨"];
const MOTION: &[&str] = &["pir", "motion", "presence", "radar", "infrared", "occupancy", "人体", "红外", "雷达"];

impl Role {
    /// By where a sensor is fixed (`Fridge`, `Door`), what it is (`PIR`, `Pressure`) and in which room.
    ///
    /// The thing it is fixed to counts first, then the room: a motion sensor at a kitchen's door tells
    /// of the kitchen, a contact at the main door of coming and going.
    pub fn of(location: &str, kind: &str, room: &str) -> Self {
        let (location, kind, room) = (Words::new(location), Words::new(kind), Words::new(room));
        let moves = kind.has(MOTION);
        if (location.has(BED) || kind.has(BED)) && !moves {
            return Self::Bed;
        }
        let by_room = Self::of_room(&room);
        if location.has(FOOD) && !matches!(by_room, Some(Self::Bedroom | Self::Bathroom)) {
            return Self::Food;
        }
        if location.has(SEAT) && !moves && by_room != Some(Self::Bathroom) {
            return Self::Seat;
        }
        if kind.has(BATHROOM) {
            return Self::Bathroom;
        }
        if !moves && (location.has(ENTRANCE) || room.has(ENTRANCE)) {
            return Self::Door;
        }
        Self::of_room(&location).or(by_room).unwrap_or(Self::Other)
    }

    /// Whether a sensor's `kind` tells of movement, again and again for as long as there is some.
    pub fn is_motion(kind: &str) -> bool {
        Words::new(kind).has(MOTION)
    }

    /// Words by which [`Self::of`] knows it, for whoever must not say how people call their rooms: where a sensor is
    /// fixed, what it is, in which room.
    pub const fn words(self) -> [&'static str; 3] {
        match self {
            Self::Bed => ["Bed", "Pressure", "Bedroom"],
            Self::Bedroom => ["Door", "PIR", "Bedroom"],
            Self::Bathroom => ["Door", "PIR", "Bathroom"],
            Self::Food => ["Fridge", "Magnetic", "Kitchen"],
            Self::Kitchen => ["Door", "PIR", "Kitchen"],
            Self::Seat => ["Seat", "Pressure", "Living"],
            Self::Living => ["Door", "PIR", "Living"],
            Self::Door => ["Maindoor", "Magnetic", "Entrance"],
            Self::Other => ["Hall", "PIR", "Entrance"],
        }
    }

    fn of_room(words: &Words) -> Option<Self> {
        let rooms = [
            (BATHROOM, Self::Bathroom),
            (BED, Self::Bedroom),
            (BEDROOM, Self::Bedroom),
            (KITCHEN, Self::Kitchen),
            (LIVING, Self::Living),
        ];
        rooms.into_iter().find(|(names, _)| words.has(names) || words.has_room(names)).map(|(_, role)| role)
    }
}

/// A name's words, in lower case.
struct Words(Vec<String>);

impl Words {
    fn new(name: &str) -> Self {
        Self(name.split(|letter: char| !letter.is_alphabetic()).map(str::to_lowercase).collect())
    }

    /// Chinese puts no space between words.
    fn has(&self, any: &[&str]) -> bool {
        let is = |word: &String, named: &&str| *word == **named || (!named.is_ascii() && word.contains(*named));
        self.0.iter().any(|word| any.iter().any(|named| is(word, named)))
    }

    /// `bedroom` for `bed`.
    fn has_room(&self, any: &[&str]) -> bool {
        self.0.iter().filter_map(|word| word.strip_suffix("room")).any(|word| any.contains(&word))
    }
}

#[cfg(test)]
mod tests {
    use super::Role;

    #[test]
    fn the_thing_counts_first_then_the_room() {
        for (location, kind, room, role) in [
            ("Bed", "Pressure", "Bedroom", Role::Bed),
            ("Bed", "PIR", "Bedroom", Role::Bedroom),
            ("Door", "PIR", "Bedroom", Role::Bedroom),
            ("Door", "PIR", "Kitchen", Role::Kitchen),
            ("Door", "PIR", "Bathroom", Role::Bathroom),
            ("Cabinet", "Magnetic", "Bathroom", Role::Bathroom),
            ("Cupboard", "Magnetic", "Bathroom", Role::Bathroom),
            ("Cupboard", "Magnetic", "Kitchen", Role::Food),
            ("Cooktop", "PIR", "Kitchen", Role::Food),
            ("Toilet", "Flush", "Bathroom", Role::Bathroom),
            ("Maindoor", "Magnetic", "Entrance", Role::Door),
            ("Front door", "contact", "Hall", Role::Door),
            ("Hall", "PIR", "Entrance", Role::Other),
            ("Seat", "Pressure", "Living", Role::Seat),
            ("Door", "PIR", "Living room", Role::Living),
            ("Hall-Bedroom door", "contact", "", Role::Bedroom),
            ("Ceiling", "PIR", "Study", Role::Other),
            ("卧室", "presence", "", Role::Bedroom),
            ("主卧床头", "presence", "", Role::Bedroom),
            ("卧室", "in_bed", "", Role::Bed),
            ("卫生间门口", "presence", "", Role::Bathroom),
            ("厨房冰箱", "open", "", Role::Food),
            ("厨房", "presence", "", Role::Kitchen),
            ("客厅沙发", "seat_occupied", "", Role::Seat),
            ("入户门", "open", "", Role::Door),
            ("客厅", "presence", "", Role::Living),
        ] {
            assert_eq!(Role::of(location, kind, room), role, "{location}, {kind}, {room}");
            let [location, kind, room] = role.words();
            assert_eq!(Role::of(location, kind, room), role, "by its own words");
        }
    }
}
