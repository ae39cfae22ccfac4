if(TARGET ringtap_linux)
  ringtap_test(linux SOURCES ${CMAKE_SOURCE_DIR}/native/test/linux_test.cc LINK ringtap_linux ringtap_test_traffic)
endif()
