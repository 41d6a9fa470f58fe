import Testing

@testable import HostEngine

@Suite struct GuestWritebackTests {
    private func answer(_ text: String) -> GuestWriteback? { GuestWriteback(text.utf8) }

    @Test func limitsAreLoweredWhereMuchWaitsAndNobodyElseHasSetThem() throws {
        let busy = try #require(answer("0\n0\n20\n10\n61320\n"))
        #expect(busy.isLarge)
        #expect(
            busy.restore.contains("echo 20 >dirty_ratio") && busy.restore.contains("echo 10 >dirty_background_ratio")
        )
        #expect(answer("0\n0\n20\n10\n548\n")?.isLarge == false)
        #expect(answer("50000000\n0\n0\n10\n61320\n")?.isLarge == false)
        #expect(answer("0\n1000000\n20\n0\n61320\n")?.isLarge == false)
        // What a ratio cannot be is not written back.
        #expect(answer("0\n0\n0\n10\n61320\n")?.isLarge == false)
        #expect(answer("0\n0\n900\n10\n61320\n")?.isLarge == false)
    }

    @Test(arguments: ["", "0\n0\n20\n10\n", "0\n0\n20\n10\n1\n2\n", "a\nb\nc\nd\ne\n", "0 0 20 10 -1"])
    func nonsenseIsNoAnswer(text: String) { #expect(answer(text) == nil) }
}
