//! What people call the boards that nodes run on.

use ninewatch_wire::message::Board;

const NAMES: [(Board, &str); 5] = [
    (Board::Pico, "pico"),
    (Board::Pico2, "pico2"),
    (Board::NucleoF411, "nucleo-f411"),
    (Board::Lm3s6965, "qemu"),
    (Board::Simulated, "simulated"),
];

/// As files and commands call it.
pub(crate) fn board_name(board: Board) -> &'static str {
    NAMES.iter().find(|(known, _)| *known == board).map_or("unknown", |(_, name)| name)
}

/// The board that is called so.
pub(crate) fn board_named(name: &str) -> Option<Board> {
    NAMES.iter().find(|(_, known)| *known == name).map(|(board, _)| *board)
}
