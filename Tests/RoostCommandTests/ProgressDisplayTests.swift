import RoostAPI
import Synchronization
import Testing

@testable import roost

@Suite struct ProgressDisplayTests {
    private final class Written: Sendable {
        let text = Mutex("")
        func display(width: Int?) -> ProgressDisplay {
            ProgressDisplay(width: width) { more in self.text.withLock { $0 += more } }
        }
        var all: String { text.withLock { $0 } }
    }

    private func job(_ progress: Double?, id: Int = 1, subject: String = "web") -> Job {
        var job = Job(id: id, kind: "vm.create", subject: subject, virtualMachine: nil, started: "")
        job.progress = progress
        return job
    }

    @Test func barGrowsWithTheJob() {
        #expect(ProgressDisplay.bar(job(0), width: 40) == "vm.create web [---------------]   0 %")
        #expect(ProgressDisplay.bar(job(0.5), width: 40) == "vm.create web [#######--------]  50 %")
        #expect(ProgressDisplay.bar(job(1), width: 40) == "vm.create web [###############] 100 %")
        #expect(ProgressDisplay.bar(job(nil), width: 40) == "vm.create web ...")
    }

    @Test(arguments: [-1, 2, Double.nan, .infinity, -.infinity, 1e300])
    func senselessProgressIsShownAsSomeProgress(progress: Double) {
        let bar = ProgressDisplay.bar(job(progress), width: 40)
        #expect(bar.hasSuffix("  0 %") || bar.hasSuffix("100 %"))
    }

    @Test func terminalIsLeftCleanAtTheEnd() {
        let written = Written()
        let display = written.display(width: 60)
        display.update(job(0.25))
        display.update(job(0.5, id: 2, subject: "x\u{1B}"))
        #expect(written.all.hasSuffix("\r\u{1B}[K2 jobs: web 25 %, x\\u{1b} 50 %"))
        display.end(job(1))
        display.end(job(1, id: 2))
        #expect(written.all.hasSuffix("\r\u{1B}[K"))
    }

    @Test func noteIsPrintedAboveTheBar() {
        let written = Written()
        let display = written.display(width: 40)
        display.update(job(0))
        display.note("warning: x")
        let bar = "\r\u{1B}[Kvm.create web [---------------]   0 %"
        #expect(written.all == bar + "\r\u{1B}[Kroost: warning: x\n" + bar)
    }

    @Test func programIsToldNothingButNotesEachAnObject() {
        let written = Mutex("")
        let display = ProgressDisplay(width: 40, .json) { more in written.withLock { $0 += more } }
        for percent in 0...100 { display.update(job(Double(percent) / 100)) }
        display.note("warning: \u{1B}x")
        display.end(job(1))
        #expect(written.withLock { $0 } == #"{"message":"warning: \u001bx"}"# + "\n")
    }

    @Test func elsewhereQuartersArePlainLines() {
        let written = Written()
        let display = written.display(width: nil)
        for percent in 0...100 { display.update(job(Double(percent) / 100)) }
        display.end(job(1))
        #expect(
            written.all == """
                roost: vm.create web is under way as job 1
                roost: vm.create web: 25 %
                roost: vm.create web: 50 %
                roost: vm.create web: 75 %

                """
        )
    }
}
