import RoostAPI
import RoostPrimitives
import Testing

@testable import roost

@Suite struct RenderTests {
    private let machines = [
        VirtualMachineSummary(
            id: .zero,
            name: "web",
            state: .running,
            generation: 2,
            version: "8.0",
            memoryMiB: 1536,
            processors: 4,
            uptimeSeconds: 93_784
        ),
        VirtualMachineSummary(
            id: .zero,
            name: "database",
            state: .off,
            generation: 1,
            version: "5.0",
            memoryMiB: 512,
            processors: 16
        ),
        VirtualMachineSummary(id: .zero, name: "x\u{1B}[2J", state: .broken, reason: "a header is damaged\nsee there"),
    ]

    @Test func machinesAreAlignedAndCannotSteerTheTerminal() {
        let expected = """
            NAME        STATE    GEN  VERSION   MEMORY  CPUS       UPTIME  REASON
            web         running    2      8.0  1.5 GiB     4  1d 02:03:04
            database    off        1      5.0  512 MiB    16
            x\\u{1b}[2J  broken                                             a header is damaged\\u{a}see there

            """
        #expect(Render.machines(machines).text(width: nil) == expected)
    }

    @Test func lineIsCutToTheWidthOfATerminalOnly() {
        let lines = Render.machines(machines).text(width: 70).split(separator: "\n")
        #expect(lines.allSatisfy { $0.count <= 70 })
        #expect(lines.last?.hasSuffix("…") == true)
    }

    @Test func columnThatNobodyFillsIsLeftOut() {
        let expected = """
            NAME  STATE  GEN  VERSION   MEMORY  CPUS
            a     off      1      5.0  512 MiB    16

            """
        var machine = machines[1]
        machine.name = "a"
        #expect(Render.machines([machine]).text(width: nil) == expected)
    }

    @Test func emptyListIsItsTitles() {
        #expect(Render.machines([]).text(width: nil) == "NAME  STATE  GEN  VERSION  MEMORY  CPUS  UPTIME  REASON\n")
    }

    @Test func jobShowsItsErrorAndWarnings() {
        var job = Job(id: 7, kind: "vm.start", subject: "web", virtualMachine: nil, started: "2026-01-02T03:04:05Z")
        job.state = .failed
        job.progress = 0.5
        job.error = APIError(.timeout, "the guest did not answer", cause: "no reply")
        job.warnings = ["first", "second"]
        let expected = """
            Job:       7
            Kind:      vm.start
            Subject:   web
            State:     failed
            Done:      50 %
            Started:   2026-01-02T03:04:05Z
            Error:     the guest did not answer: no reply
            Warnings:  first
                       second

            """
        #expect(Render.job(job).text(width: nil) == expected)
    }

    @Test func longValueIsWrappedBelowItself() {
        var fields = FieldList()
        fields.append("Notes", "one two three four five six seven eight nine")
        #expect(fields.text(width: 30) == "Notes:  one two three four\n        five six seven eight\n        nine\n")
        #expect(fields.text(width: nil) == "Notes:  one two three four five six seven eight nine\n")
    }

    @Test func eventIsOneLineWhateverItSays() {
        let event = Event(
            sequence: 3,
            time: "2026-01-02T03:04:05Z",
            kind: "vm.state",
            subject: "web",
            state: .running,
            message: "line\r\nbreak"
        )
        let line = "3  2026-01-02T03:04:05Z  vm.state  web (running)  line\\u{d}\\u{a}break\n"
        #expect(Render.event(event, width: nil) == line)
        #expect(Render.event(event, width: 20) == "3  2026-01-02T03:04…\n")
    }

    @Test(arguments: [
        ("plain", "plain"), ("Grüße 漢字 🙂", "Grüße 漢字 🙂"), ("\u{1B}]0;x\u{7}", "\\u{1b}]0;x\\u{7}"),
        ("\u{9B}31m", "\\u{9b}31m"),
        ("\u{7F}", "\\u{7f}"), ("a\tb", "a\\u{9}b"), ("\u{202E}txt", "\\u{202e}txt"), ("\u{2028}", "\\u{2028}"),
    ])
    func textIsMadePrintable(text: String, expected: String) {
        #expect(printable(text) == expected)
    }

    @Test(arguments: [
        (0, "00:00:00"), (-5, "00:00:00"), (3661, "01:01:01"), (86_399, "23:59:59"), (86_400, "1d 00:00:00"),
    ])
    func durationIsAClock(seconds: Int, expected: String) {
        #expect(durationText(seconds: seconds) == expected)
    }

    @Test func jsonIsSortedAndHoldsNoControlCharacters() throws {
        var machine = machines[0]
        machine.name = "\u{1B}\u{7F}\u{9B}ü/"
        let text = String(decoding: try JSONText.line(machine), as: UTF8.self)
        #expect(
            text
                == #"{"generation":2,"id":"00000000-0000-0000-0000-000000000000","memoryMiB":1536,"#
                + #""name":"\u001b\u007f\u009bü/","processors":4,"state":"running","uptimeSeconds":93784,"version":"8.0"}"#
                + "\n"
        )
    }
}
