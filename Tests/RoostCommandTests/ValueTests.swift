import ArgumentParser
import RoostAPI
import Testing

@testable import roost

@Suite struct ValueTests {
    @Test func memoryIsAWholeNumberOfMebibytes() throws {
        #expect(try Value.memoryMiB("512MiB") == 512)
        #expect(try Value.memoryMiB("1.5gb") == 1536)
        for text in ["0", "512", "0MiB", "1KiB", "1.3MiB", "-1GiB", "lots", ""] {
            #expect(throws: ValidationError.self) { try Value.memoryMiB(text) }
        }
    }

    @Test(arguments: ["scsi:0:1", "ide:1:0", "SCSI:0:63", "floppy:0:0"])
    func locationIsTypeControllerAndSlot(text: String) {
        #expect(Value.isLocation(text))
    }

    @Test(arguments: ["scsi:0", "scsi:0:1:2", "scsi:0:x", "scsi:0:-1", "sata:0:0", "/scsi:0:1", "", "::"])
    func otherTextIsNoLocation(text: String) {
        #expect(!Value.isLocation(text))
    }

    @Test(arguments: [
        ("/a/b", "/w", "/a/b"), ("b", "/w", "/w/b"), ("./b", "/w", "/w/b"), ("././/b", "/", "/b"),
        ("../b", "/w/x", "/w/x/../b"), (".b", "/w", "/w/.b"),
    ])
    func pathIsMadeAbsolute(path: String, directory: String, expected: String) {
        #expect(Files.absolute(path, from: directory) == expected)
    }

    @Test func driveIsFoundByItsFile() throws {
        let drives = [
            DriveInfo(controllerType: "scsi", controllerNumber: 0, slot: 0, kind: "disk", path: "/d/a"),
            DriveInfo(controllerType: "scsi", controllerNumber: 0, slot: 1, kind: "disk", path: "/d/b"),
            DriveInfo(controllerType: "ide", controllerNumber: 1, slot: 0, kind: "dvd", path: "/d/b"),
            DriveInfo(controllerType: "ide", controllerNumber: 1, slot: 1, kind: "dvd", path: nil),
        ]
        #expect(try DiskDetach.location(of: "/d/a", in: drives, "web") == "scsi:0:0")
        let missing = #expect(throws: APIError.self) { try DiskDetach.location(of: "/d/c", in: drives, "web") }
        #expect(missing?.code == .notFound)
        let ambiguous = #expect(throws: APIError.self) { try DiskDetach.location(of: "/d/b", in: drives, "web") }
        #expect(ambiguous?.code == .invalidArgument)
        #expect(ambiguous?.message.contains("scsi:0:1 and ide:1:0") == true)
    }

    @Test func removalNeedsAYes() {
        #expect(VMRemove.refusal(answer: "y") == nil)
        #expect(VMRemove.refusal(answer: "YES") == nil)
        for answer in ["", "n", "yess", " "] { #expect(VMRemove.refusal(answer: answer)?.code == .cancelled) }
        #expect(VMRemove.refusal(answer: nil)?.code == .invalidArgument)
        #expect(VMRemove.refusal(answer: nil)?.message.contains("--yes") == true)
    }

    @Test func questionNamesTheMachinesAndTheirDisks() {
        #expect(VMRemove.question(["web"], removeDisks: false) == "Remove the virtual machine web? [y/N] ")
        #expect(
            VMRemove.question(["a", "b\n"], removeDisks: true)
                == "Remove the 2 virtual machines a, b\\u{a} and delete their own disks? [y/N] "
        )
    }

    @Test func runDirectoryOfAnUnfinishedLineIsUsedForCompletion() {
        #expect(CompletionKind.runDirectory(in: ["roost", "--run-dir", "/a", "vm", "start", ""]) == "/a")
        #expect(CompletionKind.runDirectory(in: ["roost", "vm", "start", "--run-dir=/b"]) == "/b")
        #expect(CompletionKind.runDirectory(in: ["roost", "vm", "start", "--run-dir"]) == nil)
        #expect(CompletionKind.runDirectory(in: ["roost"]) == nil)
    }
}
