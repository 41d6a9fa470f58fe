import CrashMatrix
import Testing

@Suite struct CrashMatrixTests {
    @Test(arguments: CrashMatrix.daily.indices) func noCrashStateLosesAnything(index: Int) {
        let scenario = CrashMatrix.daily[index]
        let tally = CrashMatrix.run([scenario], .short, first: 1)[0]
        #expect(tally.tried > 20)
        #expect(tally.lost == 0, "\(scenario.name): \(tally.findings)")
    }

    @Test(arguments: Faults.Planted.allCases) func plantedFaultIsNoticed(fault: Faults.Planted) {
        #expect(CrashMatrix.tally(planted: fault, .short).lost > 0)
    }
}
