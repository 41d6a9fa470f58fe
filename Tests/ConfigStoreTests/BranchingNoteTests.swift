import RoostPrimitives
import Testing

@testable import ConfigStore

@Suite struct BranchingNoteTests {
    private let folder = TemporaryFolder()
    private let directory: StateDirectory
    private let machine = GUID.random()

    init() throws { directory = try makeDirectory(folder) }

    private func file(_ name: String) -> String { "\(directory.disks)/\(name)" }

    @Test func whatNobodyNeedsGoesAndTheRestStays() throws {
        let paths = ["a.qcow2", "b c \u{E9}.qcow2", "never made.qcow2"].map(file)
        let note = try BranchingNote(machine, making: paths, in: directory)
        for path in paths.dropLast() { try FileAccess.write([1], to: path) }
        #expect(try BranchingNote(of: machine, in: directory) == note)
        // As the next roostd does.
        #expect(try BranchingNote.machines(in: directory) == [machine])
        #expect(throws: StoreError.self) { try BranchingNote(machine, making: [file("x")], in: directory) }
        try #require(try BranchingNote(of: machine, in: directory)).finish { $0 == paths[1] }
        #expect(!exists(paths[0]) && exists(paths[1]))
        #expect(try BranchingNote.machines(in: directory).isEmpty)
        #expect(try FileAccess.names(in: directory.snapshots).isEmpty)
    }

    @Test func noteThatStaysNamesNothingAndIsInNobodysWay() throws {
        try FileAccess.write([1], to: file("old.qcow2"))
        let note = try BranchingNote(machine, making: [], dropping: [file("old.qcow2")], in: directory)
        try note.finish(staying: true) { _ in false }
        #expect(!exists(file("old.qcow2")))
        let left = try #require(try BranchingNote(of: machine, in: directory))
        #expect(left.paths.isEmpty)
        let next = try BranchingNote(machine, making: [file("new.qcow2")], in: directory)
        #expect(try BranchingNote(of: machine, in: directory) == next)
        try next.finish { _ in false }
        #expect(try BranchingNote.machines(in: directory).isEmpty)
    }

    @Test func noteThatCannotBeKeptIsNotWritten() throws {
        try FileAccess.write([1], to: file("taken"))
        for (path, code) in [
            (file("taken"), StoreError.Code.exists), ("relative", .failed), (file("two\nlines"), .failed),
        ] {
            let error = #expect(throws: StoreError.self) {
                _ = try BranchingNote(machine, making: [path], in: directory)
            }
            #expect(error?.code == code)
        }
        #expect(try BranchingNote.machines(in: directory).isEmpty)
    }

    @Test func fileThatCannotBeDeletedKeepsTheNote() throws {
        let path = file("a folder")
        let note = try BranchingNote(machine, making: [path], in: directory)
        try FileAccess.makeFolder("\(path)/full", mode: 0o700)
        #expect(throws: StoreError.self) { try note.finish { _ in false } }
        #expect(try BranchingNote(of: machine, in: directory) == note)
    }
}
